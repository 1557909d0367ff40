/*
 * Loads and plays mutated programs without a kernel: every system call of an op is answered here,
 * from a seeded generator. Whatever the bytes are, loading gives 0 or -EPROTO and playing 0 or
 * -errno; the address and undefined-behaviour sanitizers watch every access, and the answering side
 * reads all that the kernel would read.
 *
 *   cc -g -fsanitize=address,undefined -fno-sanitize-recover=all -o fuzz launcher/tests/fuzz.c
 *   ./fuzz SEED SECONDS FILE...   files are valid programs; prints "rounds N accepted N played N"
 *
 * With -DLIBFUZZER it is a target for clang's libFuzzer (scripts/fuzz-launcher.ts).
 */
#include "../sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ answers instead of a kernel */

static uint64_t random_state;
static jmp_buf exited;
static volatile uint64_t sink; /* keeps reads that are there for the sanitizer */

/* splitmix64 by Sebastiano Vigna, public domain. */
static uint64_t random_u64(void)
{
	uint64_t mixed = random_state += 0x9e3779b97f4a7c15;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
	return mixed ^ (mixed >> 31);
}

static uint32_t below(uint32_t end)
{
	return end ? (uint32_t)(random_u64() % end) : 0;
}

/* Whether a call fails: mostly not, so that a program is played further. */
static int fails(void)
{
	static const int errors[] = {
		ENOENT, EPERM, EEXIST, EINVAL, EBUSY, ENOTDIR, EACCES, ENOSYS
	};

	if (below(24) != 0)
		return 0;
	errno = errors[below(sizeof(errors) / sizeof(errors[0]))];
	return 1;
}

static int any_fd(void)
{
	return fails() ? -1 : (int)(3 + below(200));
}

static int any_result(void)
{
	return fails() ? -1 : 0;
}

static void read_all(const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sink += ((const volatile uint8_t *)bytes)[i];
}

static int named(const char *path)
{
	read_all(path, strlen(path));
	return 1;
}

static ssize_t any_write(const void *bytes, size_t length)
{
	read_all(bytes, length);
	return fails() ? -1 : (ssize_t)(below(16) ? length : length / 2);
}

/*
 * Reads lines of pids, as in cgroup.procs, and then the end; or one of fields, as in a process's
 * stat.
 */
static ssize_t any_read(void *into, size_t room)
{
	int is_stat = below(4) == 0;
	size_t length = 0;

	if (fails())
		return -1;
	if (below(2))
		return 0;
	if (is_stat && room > 12)
		length = (size_t)sprintf((char *)into, "1 (a b) %c ", "RSZ"[below(3)]);
	while (length + 12 < room && below(is_stat ? 32 : 8))
		length += (size_t)sprintf((char *)into + length, "%u%c", below(1 << 22),
					  is_stat ? ' ' : '\n');
	return (ssize_t)length;
}

static int any_kill(pid_t pid)
{
	if (pid <= 1) /* this would be everybody, our group, or init */
		abort();
	return any_result();
}

static ssize_t any_link(char *into, size_t room)
{
	static const char *const links[] = { "a", "/a/b", "../..", "/", "a/../../b/c" };
	const char *link = links[below(sizeof(links) / sizeof(links[0]))];
	size_t length = below(32) ? strlen(link) : room;

	if (fails())
		return -1;
	memset(into, 'x', length);
	if (length < room)
		memcpy(into, link, length);
	return (ssize_t)length;
}

static int any_stat(struct stat *st)
{
	static const mode_t modes[] = { S_IFCHR, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO };

	memset(st, 0, sizeof(*st));
	st->st_mode = modes[below(sizeof(modes) / sizeof(modes[0]))] | 0644;
	st->st_size = below(5000);
	st->st_rdev = random_u64();
	return any_result();
}

/* Reads entries with few different names, so that a tree of them has an end. */
static ssize_t any_entries(char *into, size_t room)
{
	static const char *const names[] = { ".", "..", "a", "bb" };
	size_t length = 0;

	if (fails())
		return -1;
	while (length + sizeof(struct dirent64) <= room && below(3) == 0) {
		struct dirent64 *entry = (struct dirent64 *)(void *)(into + length);

		entry->d_reclen = sizeof(*entry);
		strcpy(entry->d_name, names[below(sizeof(names) / sizeof(names[0]))]);
		length += sizeof(*entry);
	}
	return (ssize_t)length;
}

static ssize_t any_names(char *into, size_t room)
{
	if (fails() || room < 8)
		return -1;
	memcpy(into, "user.a\0b", 9);
	return below(2) ? 9 : 0;
}

static ssize_t any_size(size_t size)
{
	return fails() ? -1 : (ssize_t)below((uint32_t)size + 1);
}

static int any_statfs(struct statfs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->f_type = (__typeof__(fs->f_type))random_u64();
	return any_result();
}

static ssize_t any_send(const struct msghdr *message)
{
	read_all(message->msg_iov->iov_base, message->msg_iov->iov_len);
	if (message->msg_control)
		read_all(message->msg_control, message->msg_controllen);
	return fails() ? -1 : (ssize_t)message->msg_iov->iov_len;
}

static ssize_t any_receive(struct msghdr *message)
{
	struct record record = { below(4), below(300), below(200) };

	message->msg_controllen = 0;
	if (fails())
		return -1;
	if (below(8) == 0)
		return 0;
	memcpy(message->msg_iov->iov_base, &record, sizeof(record));
	return sizeof(record);
}

/* Answers as netlink does, often with broken messages, and then with nothing more. */
static ssize_t any_answer(uint8_t *into, size_t room, struct sockaddr_nl *sender)
{
	size_t length = below(8) ? below(200) : below((uint32_t)room + 100);

	if (below(2)) {
		errno = below(8) ? EAGAIN : ENOBUFS;
		return -1;
	}
	*sender = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = below(8) ? 0 : 1 };
	for (size_t i = 0; i < length && i < room; i++)
		into[i] = below(4) ? 0 : (uint8_t)random_u64();
	for (size_t at = 0; below(8) && at + sizeof(struct nlmsghdr) <= length && length <= room;) {
		struct nlmsghdr header = { .nlmsg_len = 16 + below(60),
					   .nlmsg_type = below(2) ? NLMSG_ERROR : RTM_NEWLINK };

		memcpy(into + at, &header, sizeof(header));
		at += NLMSG_ALIGN(header.nlmsg_len);
	}
	return (ssize_t)length;
}

/* Answers with frames of a supervisor, and with other bytes, cut anywhere. */
static ssize_t any_frames(uint8_t *into, size_t room)
{
	size_t length = below(2) ? below((unsigned)room + 1) : room;

	if (fails())
		return -1;
	if (below(8) == 0)
		return 0;
	for (size_t i = 0; i < length; i++)
		into[i] = below(4) ? 0 : (uint8_t)below(256);
	if (length > 7 && below(2)) {
		into[0] = FRAME_EXITED;
		into[7] = EXIT_HEADER_BYTES;
		into[4] = into[5] = into[6] = 0;
	}
	return (ssize_t)length;
}

static long any_call(long nr, ...)
{
	if (nr == __NR_openat2 && below(3) == 0) { /* then the path is made */
		errno = ENOENT;
		return -1;
	}
	return any_fd();
}

static int ignore(long value)
{
	return value < 0 ? -1 : 0;
}

static void leave(void) __attribute__((noreturn));
static void leave(void)
{
	longjmp(exited, 1);
}

#define open(path, ...) (named(path), any_fd())
#define openat(dir, path, ...) ((void)(dir), named(path), any_fd())
#define mkdirat(dir, path, mode) ((void)(dir), named(path), any_result())
#define mknodat(dir, path, mode, device) ((void)(dir), named(path), any_result())
#define rmdir(path) (named(path), any_result())
#define unlinkat(dir, path, flags) ((void)(dir), named(path), any_result())
#define readlinkat(dir, path, into, room) ((void)(dir), named(path), any_link(into, room))
#define read(fd, into, room) ((void)(fd), any_read(into, room))
#define write(fd, bytes, length) ((void)(fd), any_write(bytes, length))
#define close(fd) ignore(fd)
#define kill(pid, number) any_kill(pid)
#define waitpid(pid, status, flags) ignore(-1)
#define nanosleep(time, left) ignore((time)->tv_sec)
#define fdopendir(fd) ((void)(fd), (DIR *)NULL)
#define fstat(fd, st) ((void)(fd), any_stat(st))
#define fstatfs(fd, fs) ((void)(fd), any_statfs(fs))
#define pipe2(fds, flags) \
	(((fds)[0] = any_fd()), ((fds)[1] = any_fd()), (fds)[0] < 0 || (fds)[1] < 0 ? -1 : 0)
#define socketpair(domain, type, protocol, fds) (((fds)[0] = 3), ((fds)[1] = 4), any_result())
#define sendmsg(fd, message, flags) (ignore(fd), any_send(message))
#define recvmsg(fd, message, flags) (ignore((fd) | (flags)), any_receive(message))
#define syscall(...) any_call(__VA_ARGS__)
#define getdents64(fd, into, room) ((void)(fd), any_entries(into, room))
#define fstatat(dir, name, st, flags) ((void)(dir), named(name), any_stat(st))
#define fchown(fd, uid, gid) (ignore(fd), any_result())
#define fchownat(dir, name, uid, gid, flags) ((void)(dir), named(name), any_result())
#define fchmod(fd, mode) (ignore(fd), any_result())
#define fchmodat(dir, name, mode, flags) ((void)(dir), named(name), any_result())
#define futimens(fd, times) (ignore(fd), (void)(times), any_result())
#define utimensat(dir, name, times, flags) ((void)(dir), named(name), (void)(times), any_result())
#define flistxattr(fd, into, room) ((void)(fd), any_names(into, room))
#define fgetxattr(fd, name, into, room) ((void)(fd), named(name), any_link(into, room))
#define fsetxattr(fd, name, value, size, flags) \
	((void)(fd), named(name), read_all(value, size), any_result())
#define sendfile(to, from, at, size) ((void)(to), (void)(from), any_size(size))
#define symlinkat(text, dir, name) ((void)(dir), named(text), named(name), any_result())
#define poll(fds, count, time) ignore((fds)->fd < 0 || (count) == 0 || (time) == 0)
#define prctl(option, ...) (ignore(option), any_result())
#define socket(domain, type, protocol) (ignore(protocol), any_fd())
#define connect(fd, to, size) (ignore(fd), read_all(to, size), any_result())
#define send(fd, bytes, length, flags) (ignore(fd), read_all(bytes, length), any_result())
#define recv(fd, into, room, flags) ((void)(fd), (void)(flags), any_frames(into, room))
#define recvfrom(fd, into, room, flags, from, size) \
	(ignore(fd), (void)(size), any_answer(into, room, (void *)(from)))
#define SPIN(word) ((word) = 1)
#define _exit(code) leave()
#define KERNEL(nr, arg) fuzz_syscall(nr, arg)
static long fuzz_syscall(long nr, const uint64_t *arg);

#include "../check.c"
#include "../sync.c"
#include "../trace.c"
#include "../play.c"
#include "../files.c"
#include "../child.c"
#include "../forward.c"
#include "../cgroup.c"
#include "../copy.c"
#include "../netlink.c"
#include "../container.c"

#undef open
#undef read
#undef write
#undef close
#undef fstat
#undef _exit

static int is_call(size_t call, long nr, const uint64_t *arg)
{
	for (size_t k = 0; k < strlen(call_shapes[call].kind); k++)
		if (call_shapes[call].kind[k] == 'e' && arg[k] != call_shapes[call].of[k])
			return 0;
	return call_numbers[call] == nr;
}

/*
 * Reads what the kernel would read of the arguments: strings to their ends, structs and buffers as
 * the table says.
 */
static long fuzz_syscall(long nr, const uint64_t *arg)
{
	size_t call = 0;
	const struct shape *shape;

	while (call < CALL_COUNT && !is_call(call, nr, arg))
		call++;
	if (call == CALL_COUNT)
		abort(); /* a call that is not in the table should have been refused */
	shape = &call_shapes[call];
	for (size_t k = 0; k < strlen(shape->kind); k++) {
		const void *pointer = (const void *)(uintptr_t)arg[k];
		char kind = shape->kind[k];

		if (kind == 't' || (kind == 'z' && pointer))
			named(pointer);
		else if (kind == 'b')
			read_all(pointer, shape->of[k]);
		else if (kind >= '0' && kind <= '5')
			read_all(pointer, arg[kind - '0'] * shape->of[k]);
	}
	return any_fd();
}

/* ------------------------------------------------------------------------------------ one input */

static uint64_t accepted, played;

static void check_result(int rc)
{
	if (rc > 0 || rc < -4095)
		abort();
}

static void try_program(const uint8_t *input, size_t length)
{
	static struct program program;
	/* exactly this size, so that the sanitizer sees one byte too many */
	uint8_t *bytes = malloc(length ? length : 1);
	int rc;

	if (!bytes)
		abort();
	memcpy(bytes, input, length);
	rc = program_load(&program, bytes, length);
	if (rc != 0 && rc != -EPROTO)
		abort();
	if (rc == 0) {
		uint32_t failed = 0;
		const struct program_header *h = &program.header;

		accepted++;
		stage = (struct stage){ .sync_fd = -1, .in_child = (int)below(2) };
		if (letterbox)
			memset(letterbox, 0, LETTERBOX_WORDS * sizeof(*letterbox));
		for (uint32_t i = 0; i < h->slot_count; i++)
			program.slots[i] = below(4) ? (int)(3 + below(100)) : -1;
		if (setjmp(exited) == 0) {
			for (uint32_t i = 0; i < h->host_count + h->init_count; i++)
				check_result(play(&program, i, 1, &failed));
			for (uint32_t i = 0; i < h->cleanup_count; i++) {
				const struct op *op = cleanup_op(&program, i);
				uint8_t captured[64];

				check_result(play_op(&program, op));
				if (op->kind == OP_CAPTURE &&
				    capture_file(&program, op, captured, sizeof(captured)) > 64)
					abort();
			}
			played++;
		}
		named(program_string(&program, h->exit_path));
		named(program_string(&program, h->socket_path));
		if (program_string(&program, h->log_path))
			named(program_string(&program, h->log_path));
	}
	free(bytes);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
	random_state = length;
	try_program(input, length);
	return 0;
}
#else

/* -------------------------------------------------------------------------------------- mutator */

static uint64_t interesting(const struct program_header *h)
{
	const uint64_t values[] = {
		0,
		1,
		2,
		3,
		7,
		8,
		0x7f,
		0xff,
		NO_SLOT,
		0x7fffffff,
		0x80000000,
		NO_OFFSET,
		UINT64_MAX,
		INT64_MAX,
		h->blob_bytes,
		h->blob_bytes - 1ull,
		h->blob_bytes - 8ull,
		h->slot_count,
		h->slot_count - 1ull,
		h->blob_bytes + 1ull,
		OP_KIND_COUNT,
		CALL_COUNT,
		random_u64(),
		PROGRAM_MAX_OPS,
	};

	if (below(4) == 0)
		return below(h->blob_bytes + 1); /* an argument of most kinds points there */
	return values[below(sizeof(values) / sizeof(values[0]))];
}

static void put(uint8_t *bytes, size_t length, size_t at, uint64_t value, size_t size)
{
	if (at <= length && size <= length - at) /* `at` may be a number below 0 */
		memcpy(bytes + at, &value, size); /* little-endian, as the format */
}

/* Makes one change. Returns the new length, which is at most `length`. */
static size_t mutate(uint8_t *bytes, size_t length)
{
	struct program_header header;
	size_t ops, at;

	if (length < HEADER_BYTES)
		return length;
	memcpy(&header, bytes, sizeof(header));
	ops = (length - HEADER_BYTES) / OP_BYTES;
	switch (below(9)) {
	case 0: /* any byte */
		bytes[below((uint32_t)length)] = (uint8_t)random_u64();
		break;
	case 1: /* a field of the header */
		put(bytes, length, 4 * below(HEADER_BYTES / 4), interesting(&header), 4);
		break;
	case 2: /* a field of an op */
		at = HEADER_BYTES + OP_BYTES * below((uint32_t)ops + 1);
		put(bytes, length, at + 2 * below(12), interesting(&header), 2);
		break;
	case 3: /* an argument of an op */
		at = HEADER_BYTES + OP_BYTES * below((uint32_t)ops + 1);
		put(bytes, length, at + 24 + 8 * below(6), interesting(&header), 8);
		break;
	case 4: /* the kind of an argument, often with its value */
		at = HEADER_BYTES + OP_BYTES * below((uint32_t)ops + 1);
		ops = below(6);
		put(bytes, length, at + 10 + ops, below(4), 1);
		if (below(2))
			put(bytes, length, at + 24 + 8 * ops, interesting(&header), 8);
		break;
	case 5: /* another op in its place */
		at = HEADER_BYTES + OP_BYTES * below((uint32_t)ops + 1);
		ops = HEADER_BYTES + OP_BYTES * below((uint32_t)ops + 1);
		if (at + OP_BYTES <= length && ops + OP_BYTES <= length)
			memmove(bytes + at, bytes + ops, OP_BYTES);
		break;
	case 6: /* a relocation, or what is near the blob's start */
		at = length - header.blob_bytes % (length + 1);
		put(bytes, length, (at - below(256)) & ~(size_t)3, interesting(&header), 4);
		break;
	case 7: /* ops of one section in another */
		header.host_count += below(20);
		header.init_count -= header.init_count > 20 ? below(20) : 0;
		header.cleanup_count = (uint32_t)ops - header.host_count - header.init_count;
		memcpy(bytes, &header, sizeof(header));
		break;
	default: /* cut, sometimes with a header that says so */
		length -= below(32);
		if (below(2) && length >= HEADER_BYTES)
			put(bytes, length, offsetof(struct program_header, total_bytes), length, 4);
	}
	return length;
}

struct file {
	uint8_t *bytes;
	size_t length;
};

static struct file read_file(const char *path)
{
	struct file file = { malloc(PROGRAM_MAX_BYTES), 0 };
	FILE *stream = fopen(path, "rb");

	if (!stream || !file.bytes)
		exit(2);
	file.length = fread(file.bytes, 1, PROGRAM_MAX_BYTES, stream);
	fclose(stream);
	return file;
}

int main(int argc, char **argv)
{
	static struct file files[256];
	static uint8_t bytes[PROGRAM_MAX_BYTES];
	uint64_t seed, rounds = 0;
	int count = argc - 3;
	time_t end;

	if (count < 1 || count > 256) {
		fprintf(stderr, "usage: %s SEED SECONDS FILE...\n", argv[0]);
		return 2;
	}
	seed = strtoull(argv[1], NULL, 10);
	end = time(NULL) + atoi(argv[2]);
	for (int i = 0; i < count; i++) {
		files[i] = read_file(argv[3 + i]);
		random_state = seed;
		try_program(files[i].bytes, files[i].length);
	}
	if (accepted != (uint64_t)count) {
		fprintf(stderr, "only %lu of %d programs were accepted unchanged\n",
			(unsigned long)accepted, count);
		return 2;
	}
	for (; (rounds & 255) || time(NULL) < end; rounds++) {
		const struct file *file;
		size_t length;

		random_state = seed + rounds * 0x100000001b3;
		file = &files[below((uint32_t)count)];
		length = file->length;
		memcpy(bytes, file->bytes, length);
		for (uint32_t i = 1 + below(4); i > 0; i--)
			length = mutate(bytes, length);
		try_program(bytes, length);
	}
	for (int i = 0; i < count; i++)
		free(files[i].bytes);
	printf("rounds %lu accepted %lu played %lu\n", (unsigned long)rounds,
	       (unsigned long)accepted, (unsigned long)played);
	return 0;
}
#endif
