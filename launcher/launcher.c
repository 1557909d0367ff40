/*
 * Plays a program: checks it, makes its system calls in order, clones the child, which plays its part up to execve(2),
 * and then supervises that child (supervise.c). It decides nothing and parses no text.
 *
 * Format of a program: see src/linux/program/format.ts, which program.h is generated from.
 * Between clone3(2) and execve(2) nothing is allocated and only async-signal-safe calls are made.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef KERNEL /* tests/fuzz.c answers instead */
#define KERNEL(nr, arg) syscall(nr, (arg)[0], (arg)[1], (arg)[2], (arg)[3], (arg)[4], (arg)[5])
#endif

#define PATH_BYTES 4096
#define MAX_SYMLINKS 40 /* as the kernel's own limit */
#define SIGNAL_COUNT 64
#define REMOVE_ROUNDS 100 /* in which others may put something into what is being removed */

/* State of play, apart from the program: which side we are, and the sync sockets. */
static int sync_fd = -1;
static pid_t child;		  /* 0 until clone; in the child too */
static int in_child;
static int released; /* in the child: the launcher has gone, as it said it would */
static const char *tried; /* in the child: what execve(2) has failed for */
static struct failure child_failure; /* filled when a receive in the launcher finds that the child failed */

/* ------------------------------------------------------------------------------------------------ load and check */

static int in_blob(const struct program *p, uint64_t offset, uint64_t size)
{
	return offset <= p->header.blob_bytes && size <= p->header.blob_bytes - offset;
}

static int check_string(const struct program *p, uint32_t offset, int may_be_absent)
{
	if (offset == NO_OFFSET)
		return may_be_absent;
	return in_blob(p, offset, 1); /* the blob's last byte is 0, so every string in it ends */
}

static int check_slot(const struct program *p, uint64_t slot, int may_be_absent)
{
	return slot < p->header.slot_count || (may_be_absent && slot == NO_SLOT);
}

/* The pointer argument k of a call: a blob offset with enough bytes behind it, or 0 where NULL is allowed. */
static int check_pointer(const struct program *p, const struct op *op, const struct call *call, int k)
{
	uint64_t size = 1;
	char kind = call->kind[k];

	if (op->arg_kind[k] == ARG_NUMBER)
		return kind == 'z' && op->arg[k] == 0;
	if (op->arg_kind[k] != ARG_BLOB)
		return 0;
	if (kind == 'b') {
		size = call->size[k];
	} else if (kind >= '0' && kind <= '5') {
		int length = kind - '0';

		if (op->arg_kind[length] != ARG_NUMBER || op->arg[length] > p->header.blob_bytes)
			return 0;
		size = op->arg[length] * call->size[k];
	}
	return in_blob(p, op->arg[k], size);
}

static int check_call(const struct program *p, const struct op *op)
{
	const struct call *call;
	int count;

	if (op->call >= CALL_COUNT)
		return 0;
	call = &calls[op->call];
	count = (int)strlen(call->kind);
	for (int k = 0; k < count; k++) {
		if (call->kind[k] == 'n') {
			if (op->arg_kind[k] == ARG_BLOB)
				return 0;
		} else if (!check_pointer(p, op, call, k)) {
			return 0;
		}
	}
	for (int k = count; k < 6; k++)
		if (op->arg_kind[k] != ARG_NUMBER || op->arg[k] != 0)
			return 0;
	return call->fixed_index < 0 || (op->arg_kind[call->fixed_index] == ARG_NUMBER &&
					 op->arg[call->fixed_index] == call->fixed_value);
}

/* Argument kinds of the ops that are not calls: n number, s slot, o slot or -1, i slot index, b blob. */
static const char *const shapes[OP_KIND_COUNT] = {
	[OP_CALL] = NULL,
	[OP_WRITE] = "obbn",
	[OP_CLONE] = "no",
	[OP_PIPE] = "ii",
	[OP_SEND] = "o",
	[OP_RECEIVE] = "",
	[OP_EXECUTE] = "bbb",
	[OP_CHECK_FILESYSTEM] = "sn",
	[OP_CHECK_DEVICE] = "snnn",
	[OP_CHECK_CWD] = "",
	[OP_WRITE_BY_PID] = "bsbbno",
	[OP_STORE] = "sb",
	[OP_CAPTURE] = "bn",
	[OP_KILL_CGROUP] = "b",
	[OP_REMOVE_CGROUP] = "b",
	[OP_OPEN_TARGET] = "sbnn",
	[OP_AWAIT] = "n",
	[OP_CHECK_EXECUTABLE] = "b",
	[OP_COPY_UP] = "ssn",
	[OP_USER_NAMESPACE] = "bnbns",
	[OP_OFFER_FD] = "s",
	[OP_FORWARD_FD] = "ssbbb",
	[OP_REBIRTH] = "",
	[OP_ADOPT] = "",
	[OP_NETLINK] = "nbn",
	[OP_CHECK_PROCESS] = "nnn",
	[OP_CHECK_TEXT] = "bbn",
	[OP_AWAIT_READERS_GONE] = "sn",
	[OP_REMOVE_TREE] = "sb",
	[OP_AWAIT_EXIT] = "nn",
	[OP_DROP_BOUNDING] = "n",
	[OP_AWAIT_START] = "nnn",
	[OP_WRITE_PROCESS] = "ssbbb",
	[OP_INHERIT_MODE] = "ss",
};

static int check_shape(const struct program *p, const struct op *op)
{
	const char *shape = shapes[op->kind];
	int count = (int)strlen(shape);

	for (int k = 0; k < count; k++) {
		uint8_t kind = op->arg_kind[k];

		switch (shape[k]) {
		case 'n':
			if (kind != ARG_NUMBER)
				return 0;
			break;
		case 's':
			if (kind != ARG_SLOT)
				return 0;
			break;
		case 'o':
			if (kind == ARG_BLOB)
				return 0;
			break;
		case 'i':
			if (kind != ARG_NUMBER || op->arg[k] >= p->header.slot_count)
				return 0;
			break;
		default:
			if (kind != ARG_BLOB || !in_blob(p, op->arg[k], 1))
				return 0;
		}
	}
	switch (op->kind) {
	case OP_WRITE:
		return in_blob(p, op->arg[2], op->arg[3]);
	case OP_WRITE_BY_PID:
		return in_blob(p, op->arg[3], op->arg[4]);
	case OP_STORE:
		return in_blob(p, op->arg[1], 4);
	case OP_CHECK_TEXT:
		return in_blob(p, op->arg[1], op->arg[2]);
	case OP_NETLINK:
		return (op->arg[0] == NETLINK_ROUTE || op->arg[0] == NETLINK_NETFILTER) &&
		       in_blob(p, op->arg[1], op->arg[2]);
	case OP_USER_NAMESPACE:
		return in_blob(p, op->arg[0], op->arg[1]) && in_blob(p, op->arg[2], op->arg[3]);
	default:
		return 1;
	}
}

static int check_op(const struct program *p, const struct op *op)
{
	if (op->kind >= OP_KIND_COUNT || !check_slot(p, op->out, 1) || !check_slot(p, op->guard, 1) ||
	    !check_slot(p, op->unless, 1))
		return 0;
	for (int k = 0; k < 6; k++)
		if (op->arg_kind[k] > ARG_BLOB || (op->arg_kind[k] == ARG_SLOT && !check_slot(p, op->arg[k], 0)))
			return 0;
	return op->kind == OP_CALL ? check_call(p, op) : check_shape(p, op);
}

static int check_header(const struct program *p, size_t length)
{
	const struct program_header *h = &p->header;
	uint64_t ops = (uint64_t)h->host_count + h->init_count + h->cleanup_count;

	return h->magic == PROGRAM_MAGIC && h->version == PROGRAM_VERSION && h->total_bytes == length &&
	       ops <= PROGRAM_MAX_OPS && h->slot_count <= PROGRAM_MAX_SLOTS && h->blob_bytes > 0 &&
	       h->blob_bytes <= length && h->relocation_count <= length / sizeof(struct relocation) &&
	       HEADER_BYTES + ops * OP_BYTES + (uint64_t)h->relocation_count * sizeof(struct relocation) +
			       h->blob_bytes ==
		       length;
}

static int check_supervise(const struct program *p)
{
	const struct program_header *h = &p->header;
	const uint32_t optional[] = { h->stdin_slot, h->stdout_slot, h->stderr_slot };

	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		if (!check_slot(p, optional[i], 1))
			return 0;
	return check_slot(p, h->init_slot, 0) && h->hold <= 1 && h->hand_over <= 1 && h->terminal <= 1 && h->console_fd < 1024 && h->sync_fd >= LISTEN_FD &&
	       h->sync_fd < 1024 && check_string(p, h->log_path, 1) &&
	       h->log_max_files >= 1 && h->log_max_files <= 1000 && check_string(p, h->exit_path, 0) &&
	       check_string(p, h->socket_path, 0);
}

/* Takes over `bytes` (8-byte aligned, writable). Returns 0, or -EPROTO for anything that is not a whole, sane program. */
int program_load(struct program *p, uint8_t *bytes, size_t length)
{
	const struct relocation *relocations;
	uint32_t op_count;

	if (length < HEADER_BYTES || length > PROGRAM_MAX_BYTES)
		return -EPROTO;
	memcpy(&p->header, bytes, HEADER_BYTES);
	if (!check_header(p, length))
		return -EPROTO;
#ifndef LAUNCHER_FAULTS
	if (p->header.fail_index != NO_OFFSET)
		return -EPROTO;
#endif
	op_count = p->header.host_count + p->header.init_count + p->header.cleanup_count;
	p->ops = (const struct op *)(bytes + HEADER_BYTES);
	relocations = (const struct relocation *)(bytes + HEADER_BYTES + (size_t)op_count * OP_BYTES);
	p->blob = (uint8_t *)(relocations + p->header.relocation_count);
	for (uint32_t i = 0; i < PROGRAM_MAX_SLOTS; i++)
		p->slots[i] = -1;

	if (p->blob[p->header.blob_bytes - 1] != 0 || !check_supervise(p))
		return -EPROTO;
	for (uint32_t i = 0; i < op_count; i++)
		if (!check_op(p, &p->ops[i]))
			return -EPROTO;
	for (uint32_t i = 0; i < p->header.relocation_count; i++) {
		uint64_t address;

		if (!in_blob(p, relocations[i].where, 8) || !in_blob(p, relocations[i].target, 1))
			return -EPROTO;
		address = (uint64_t)(uintptr_t)(p->blob + relocations[i].target);
		memcpy(p->blob + relocations[i].where, &address, sizeof(address));
	}
	/* A relocation may have overwritten the terminator. */
	return p->blob[p->header.blob_bytes - 1] == 0 ? 0 : -EPROTO;
}

const char *program_string(const struct program *p, uint32_t offset)
{
	return offset == NO_OFFSET ? NULL : (const char *)p->blob + offset;
}

const struct op *cleanup_op(const struct program *p, uint32_t index)
{
	return index < p->header.cleanup_count ? &p->ops[p->header.host_count + p->header.init_count + index] : NULL;
}

/* ---------------------------------------------------------------------------------------------- sync between sides */

/* All of the bytes, with a copy of passed_fd unless that is negative. */
int send_with_fd(int fd, const void *bytes, size_t length, int passed_fd)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, length };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (passed_fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -errno;
}

int sync_send(int fd, uint32_t type, uint32_t op_index, int error, int passed_fd)
{
	struct record record = { type, op_index, (uint32_t)error };

	/*
	 * The child may be under its filter by now: of all calls write(2) is the one that it lets pass. Where nobody reads
	 * any more there is no SIGPIPE: that is for streams, not for SOCK_SEQPACKET.
	 */
	if (in_child && passed_fd < 0)
		return write(fd, &record, sizeof(record)) == (ssize_t)sizeof(record) ? 0 : -errno;
	return send_with_fd(fd, &record, sizeof(record), passed_fd);
}

/* Length, 0 at the end, or -errno. A passed fd goes to *passed_fd, else that is -1. */
ssize_t receive_with_fd(int fd, void *bytes, size_t length, int *passed_fd, int flags)
{
	struct iovec iov = { bytes, length };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t received;
	struct cmsghdr *header;

	*passed_fd = -1;
	do { /* ECONNRESET: the other side died with something of ours unread; what it had sent comes next */
		received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | flags);
	} while (received < 0 && (errno == EINTR || errno == ECONNRESET));
	if (received < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(passed_fd, CMSG_DATA(header), sizeof(int));
	return received;
}

ssize_t sync_receive(int fd, struct record *record, int *passed_fd, int flags)
{
	return receive_with_fd(fd, record, sizeof(*record), passed_fd, flags);
}

/* ------------------------------------------------------------------------------------------------------------- play */

static int set_slot(struct program *p, uint64_t slot, int value)
{
	if (slot != NO_SLOT)
		p->slots[slot] = value;
	return 0;
}

/* The value of an argument as the kernel takes it. An unset slot is EBADF, as a closed fd would be. */
static int argument(const struct program *p, const struct op *op, int k, uint64_t *value)
{
	switch (op->arg_kind[k]) {
	case ARG_SLOT:
		if (p->slots[op->arg[k]] < 0)
			return -EBADF;
		*value = (uint64_t)p->slots[op->arg[k]];
		return 0;
	case ARG_BLOB:
		*value = (uint64_t)(uintptr_t)(p->blob + op->arg[k]);
		return 0;
	default:
		*value = op->arg[k];
		return 0;
	}
}

static const char *text(const struct program *p, const struct op *op, int k)
{
	return (const char *)p->blob + op->arg[k];
}

static int op_call(struct program *p, const struct op *op)
{
	uint64_t arg[6] = { 0 };
	long result;

	for (int k = 0; k < 6; k++) {
		int rc = argument(p, op, k, &arg[k]);

		if (rc < 0)
			return rc;
	}
	result = KERNEL(calls[op->call].nr, arg);
	if (result < 0)
		return -errno;
	if (calls[op->call].nr == __NR_close && op->arg_kind[0] == ARG_SLOT)
		p->slots[op->arg[0]] = -1;
	return set_slot(p, op->out, (int)result);
}

static int write_once(int dir, const char *path, const void *data, size_t length)
{
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t written;
	int error;

	if (fd < 0)
		return -errno;
	written = write(fd, data, length);
	error = written < 0 ? -errno : (size_t)written == length ? 0 : -EIO;
	close(fd);
	return error;
}

/* arg = { dir fd, path, data, length } */
static int op_write(struct program *p, const struct op *op)
{
	uint64_t dir;
	int rc = argument(p, op, 0, &dir);

	return rc < 0 ? rc : write_once((int)dir, text(p, op, 1), text(p, op, 2), op->arg[3]);
}

/* PREFIX value SUFFIX; value is not negative. */
static int numbered_path(char *path, size_t room, const char *prefix, int value, const char *suffix)
{
	char digits[12];
	size_t count = 0, prefix_length = strlen(prefix), suffix_length = strlen(suffix);

	do {
		digits[count++] = (char)('0' + value % 10);
	} while ((value /= 10) > 0);
	if (prefix_length + count + suffix_length >= room)
		return -ENAMETOOLONG;
	memcpy(path, prefix, prefix_length);
	for (size_t i = 0; i < count; i++)
		path[prefix_length + i] = digits[count - 1 - i];
	memcpy(path + prefix_length + count, suffix, suffix_length + 1);
	return 0;
}

/* arg = { prefix, pid slot, suffix, data, length, dir fd }: writes to the file PREFIX pid SUFFIX under dir. */
static int op_write_by_pid(struct program *p, const struct op *op)
{
	char path[256];
	int value = p->slots[op->arg[1]];
	uint64_t dir;
	int rc = argument(p, op, 5, &dir);

	if (value < 0 || rc < 0)
		return -EBADF;
	rc = numbered_path(path, sizeof(path), text(p, op, 0), value, text(p, op, 2));
	return rc < 0 ? rc : write_once((int)dir, path, text(p, op, 3), op->arg[4]);
}

static int op_store(struct program *p, const struct op *op)
{
	int value = p->slots[op->arg[0]];

	if (value < 0)
		return -EBADF;
	memcpy(p->blob + op->arg[1], &value, sizeof(value));
	return 0;
}

static int op_pipe(struct program *p, const struct op *op)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	set_slot(p, op->arg[0], fds[0]);
	return set_slot(p, op->arg[1], fds[1]);
}

static int make_letterbox(const struct program *p);

/* Exactly those of the mask, bit 0 for signal 1. libc's own call leaves out some that it keeps for itself. */
static void block_signals(uint64_t mask)
{
	syscall(__NR_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

/* Where the container's caller looks, in runc's words, once nobody else is there to be told. */
static void say_not_executed(int error)
{
	const char *why = error == ENOENT || error == ELIBACC ? "no such file or directory" :
			  error == ENOEXEC			? "exec format error" :
			  error == EACCES || error == EPERM	? "permission denied" :
								  "cannot be executed";
	char line[PATH_BYTES + 64];
	int length = snprintf(line, sizeof(line), "exec %.*s: %s\n", PATH_BYTES, tried, why);

	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		return; /* it has no stderr */
}

static void play_init(struct program *p, int sync) __attribute__((noreturn));
static void play_init(struct program *p, int sync)
{
	uint32_t failed = 0;
	int rc;

	in_child = 1;
	sync_fd = dup3(sync, (int)p->header.sync_fd, O_CLOEXEC);
	block_signals(0);
	rc = play(p, p->header.host_count, p->header.init_count, &failed);
	if (released && tried) {
		say_not_executed(-rc);
		_exit(255);
	}
	sync_send(sync_fd, RECORD_FAILED, failed, rc < 0 ? -rc : EPROTO, -1);
	_exit(1);
}

static int adopts(const struct program *p)
{
	for (uint32_t i = 0; i < p->header.host_count; i++)
		if (p->ops[i].kind == OP_ADOPT)
			return 1;
	return 0;
}

/* Whether what is received on the socket comes with its sender's pid. */
static void tell_senders(int fd, int on)
{
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

/* arg = { namespace flags, cgroup v2 directory or -1 } */
static int op_clone(struct program *p, const struct op *op)
{
	struct clone_args args = { .flags = op->arg[0], .exit_signal = SIGCHLD };
	int pair[2];
	long pid;

	if (child || in_child)
		return -EPROTO;
	if (op->arg_kind[1] == ARG_SLOT) {
		if (p->slots[op->arg[1]] < 0)
			return -EBADF;
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)p->slots[op->arg[1]];
	}
	if (make_letterbox(p) < 0)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (adopts(p))
		tell_senders(pair[0], 1);
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid == 0)
		play_init(p, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		int error = errno;

		close(pair[0]);
		return -error;
	}
	sync_fd = pair[0];
	child = (pid_t)pid;
	return set_slot(p, op->out, child);
}

static int op_send(struct program *p, const struct op *op)
{
	uint64_t fd;
	int rc = argument(p, op, 0, &fd);

	return rc < 0 ? rc : sync_send(sync_fd, RECORD_TOKEN, 0, 0, (int)fd);
}

static int op_receive(struct program *p, const struct op *op)
{
	struct record record;
	int fd;
	ssize_t length = sync_receive(sync_fd, &record, &fd, 0);

	if (length == sizeof(record) && record.type == RECORD_RELEASED) {
		released = 1;
		sync_send(sync_fd, RECORD_RELEASED, 0, 0, -1); /* the launcher goes when it has read that */
	}
	if (length == sizeof(record) && (record.type == RECORD_TOKEN || record.type == RECORD_RELEASED))
		return set_slot(p, op->out, fd);
	if (in_child)
		_exit(1); /* the launcher is gone, and with it whoever wanted this process */
	if (length < 0)
		return (int)length;
	child_failure.op_index = length == 0 ? OP_INDEX_UNKNOWN : record.op_index;
	child_failure.error = length == 0 ? ECHILD : (int)record.error;
	return -ECHILD;
}

/*
 * In the child, once it has joined a user namespace and made its own pid namespace, which only a child of its own is
 * born into: that child goes on in its place, and is the launcher's, too.
 */
static int op_rebirth(struct program *p, const struct op *op)
{
	struct clone_args args = { .flags = CLONE_PARENT };
	struct record record;
	int fd;
	long pid;

	(void)p;
	(void)op;
	if (!in_child)
		return -EPROTO;
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid < 0)
		return -errno;
	if (pid > 0)
		_exit(0);
	if (sync_send(sync_fd, RECORD_TOKEN, 0, 0, -1) < 0 || sync_receive(sync_fd, &record, &fd, 0) != sizeof(record))
		_exit(1); /* the launcher is gone */
	return 0;
}

/* In the launcher: takes the child's child for the child. Who it is, in our own pid namespace, the kernel says. */
static int op_adopt(struct program *p, const struct op *op)
{
	struct record record;
	struct iovec iov = { &record, sizeof(record) };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	struct ucred sender;
	ssize_t length;

	if (in_child || !child)
		return -EPROTO;
	do {
		length = recvmsg(sync_fd, &message, MSG_CMSG_CLOEXEC);
	} while (length < 0 && (errno == EINTR || errno == ECONNRESET));
	if (length != sizeof(record) || record.type != RECORD_TOKEN) {
		child_failure.op_index = length == sizeof(record) ? record.op_index : OP_INDEX_UNKNOWN;
		child_failure.error = length == sizeof(record) ? (int)record.error : ECHILD;
		return -ECHILD;
	}
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_CREDENTIALS)
		return -EPROTO;
	memcpy(&sender, CMSG_DATA(header), sizeof(sender));
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	child = sender.pid;
	set_slot(p, op->out, child);
	tell_senders(sync_fd, 0); /* before it sends a fd, for which sync_receive has room only by itself */
	return sync_send(sync_fd, RECORD_TOKEN, 0, 0, -1);
}

static void end_by(int signal)
{
	(void)signal; /* of which a test makes nothing */
	_exit(128 + signal);
}

/* The first process of a pid namespace would not hear of them: one that waits is to end by `kill` as any other. */
static void end_by_signals(void)
{
	static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction action;

	for (size_t i = 0; i < sizeof(ending) / sizeof(*ending); i++) {
		if (sigaction(ending[i], NULL, &action) < 0 || action.sa_handler != SIG_DFL)
			continue;
		action.sa_handler = end_by;
		sigaction(ending[i], &action, NULL); /* until execve(2) */
	}
}

static int op_await(struct program *p, const struct op *op)
{
	uint8_t byte;
	ssize_t length;

	(void)p;
	end_by_signals();
	do {
		length = read((int)op->arg[0], &byte, 1);
	} while (length < 0 && errno == EINTR);
	return length < 0 ? -errno : length == 0 ? -ECANCELED : 0;
}

/* Calls `try` with each path of the NULL-terminated vector at `entry` until one is not missing or closed to us. */
static int first_path(const struct program *p, const uint8_t *entry, int (*try)(const char *path, void *arg), void *arg)
{
	const uint8_t *end = p->blob + p->header.blob_bytes;
	int error = ENOENT;

	for (; entry + sizeof(uint64_t) <= end; entry += sizeof(uint64_t)) {
		uint64_t path;
		int rc;

		memcpy(&path, entry, sizeof(path));
		if (path == 0)
			break;
		rc = try((const char *)(uintptr_t)path, arg);
		if (rc == -EACCES || rc == -EISDIR)
			error = -rc;
		else if (rc != -ENOENT && rc != -ENOTDIR)
			return rc;
	}
	return -error;
}

/* System calls, not libc: a path may be any number that the program put into the vector. */
static int try_access(const char *path, void *arg)
{
	int directory;

	(void)arg;
	if (syscall(__NR_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return -errno;
	directory = (int)syscall(__NR_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return 0;
	close(directory);
	return -EISDIR;
}

static int op_check_executable(struct program *p, const struct op *op)
{
	return first_path(p, p->blob + op->arg[0], try_access, NULL);
}

static int try_execve(const char *path, void *arg)
{
	const uint64_t *vectors = arg;

	syscall(__NR_execve, path, vectors[0], vectors[1]);
	if (errno != EFAULT && errno != ENAMETOOLONG) /* the kernel has read it to its end */
		tried = path;
	if (errno != ENOENT)
		return -errno;
	/* It is there, then: what is missing is its interpreter. */
	return try_access(path, NULL) == 0 ? -ELIBACC : -ENOENT;
}

/*
 * arg = { paths, argv, env }, NULL-terminated vectors. The first path that can be executed wins, as with execvp(3):
 * a path that is not there is passed over, and EACCES is reported only if none was executed.
 */
static int op_execute(struct program *p, const struct op *op)
{
	uint64_t vectors[2];

	argument(p, op, 1, &vectors[0]);
	argument(p, op, 2, &vectors[1]);
	if (!in_child)
		return -EPROTO;
	/* Changing ids cleared the parent-death signal for a moment: did the launcher die in it? */
	if (!released && sync_send(sync_fd, RECORD_EXECUTING, 0, 0, -1) < 0)
		_exit(1);
	return first_path(p, p->blob + op->arg[0], try_execve, vectors);
}

static int open_in_root(int root, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_PATH | O_CLOEXEC, .resolve = resolve };
	long fd = syscall(__NR_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* A dangling link: its text takes the place of the component path[start, end). */
static int follow_link(int parent, const char *name, char *path, size_t start, size_t end)
{
	char link[PATH_BYTES];
	ssize_t length = readlinkat(parent, name, link, sizeof(link));
	size_t kept = length > 0 && link[0] == '/' ? 0 : start, tail = strlen(path + end) + 1;

	if (length <= 0)
		return -ENOENT;
	if (kept + (size_t)length + tail > PATH_BYTES)
		return -ENAMETOOLONG;
	memmove(path + kept + length, path + end, tail);
	memcpy(path + kept, link, (size_t)length);
	return 0;
}

/* The deepest directory above the path's last component that is there; *end is where its own path ends. The root if none is. */
static int deepest_directory(int root, char *path, uint64_t resolve, size_t *end)
{
	size_t at = strlen(path);
	int fd = -ENOENT;

	while (fd == -ENOENT) {
		while (at > 0 && path[at - 1] == '/')
			at--;
		while (at > 0 && path[at - 1] != '/')
			at--;
		if (at <= 1)
			break;
		path[at - 1] = 0;
		fd = open_in_root(root, path, O_DIRECTORY, resolve);
		path[at - 1] = '/';
	}
	*end = fd < 0 ? 0 : at - 1;
	return fd < 0 ? root : fd;
}

/*
 * Makes what is missing of the path, one component at a time, each in a directory that was itself opened in the root:
 * no symlink, also one that appears meanwhile, leads out. Returns an fd, or -EAGAIN if a link has changed the path.
 */
static int make_target(int root, char *path, uint64_t type, uint64_t resolve)
{
	int fd = -ENOENT, rc = 0;
	size_t start, end;
	int parent = deepest_directory(root, path, resolve, &end);

	for (;;) {
		int last;
		char saved, name[PATH_BYTES];

		start = end + strspn(path + end, "/");
		end = start + strcspn(path + start, "/");
		if (start == end)
			return fd;
		last = path[end + strspn(path + end, "/")] == 0;
		saved = path[end];
		path[end] = 0;
		strcpy(name, path + start);
		rc = last && !type ? mknodat(parent, name, S_IFREG | 0644, 0) : mkdirat(parent, name, 0755);
		rc = rc < 0 && errno != EEXIST ? -errno : 0;
		fd = rc == 0 ? open_in_root(root, path, last ? type : O_DIRECTORY, resolve) : rc;
		path[end] = saved;
		if (fd == -ENOENT && rc == 0) {
			rc = follow_link(parent, name, path, start, end);
			fd = rc == 0 ? -EAGAIN : rc;
		}
		if (parent != root)
			close(parent);
		if (last || fd < 0)
			return fd;
		parent = fd;
	}
}

/* arg = { root, path, 1 for a directory, 0 for a file, resolve } */
static int op_open_target(struct program *p, const struct op *op)
{
	uint64_t type = op->arg[2] ? O_DIRECTORY : 0;
	int root = p->slots[op->arg[0]], fd;
	char path[PATH_BYTES];

	if (strlen(text(p, op, 1)) >= sizeof(path))
		return -ENAMETOOLONG;
	strcpy(path, text(p, op, 1));
	fd = open_in_root(root, path, type, op->arg[3]);
	if (fd == -ENOENT) {
		fd = -EAGAIN;
		for (int links = 0; fd == -EAGAIN && links < MAX_SYMLINKS; links++)
			fd = make_target(root, path, type, op->arg[3]);
		if (fd == -EAGAIN)
			fd = -ELOOP;
	}
	return fd < 0 ? fd : set_slot(p, op->out, fd);
}

static int op_check_filesystem(struct program *p, const struct op *op)
{
	struct statfs fs;
	int fd = p->slots[op->arg[0]];

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	return (uint64_t)fs.f_type == op->arg[1] ? 0 : -EXDEV;
}

static int op_check_device(struct program *p, const struct op *op)
{
	struct stat st;
	int fd = p->slots[op->arg[0]];

	if (fstat(fd, &st) < 0)
		return -errno;
	return (st.st_mode & S_IFMT) == op->arg[3] && major(st.st_rdev) == op->arg[1] &&
			       minor(st.st_rdev) == op->arg[2] ?
		       0 :
		       -ENODEV;
}

/* arg = { from directory, to directory, with its owner } */
static int op_copy_up(struct program *p, const struct op *op)
{
	int from = p->slots[op->arg[0]], to = p->slots[op->arg[1]];

	return from < 0 || to < 0 ? -EBADF : copy_up(from, to, op->arg[2] != 0);
}

/* arg = { file system that fsopen(2) has begun, directory } */
static int op_inherit_mode(struct program *p, const struct op *op)
{
	char mode[] = "0000";
	struct stat st;

	if (fstat(p->slots[op->arg[1]], &st) < 0)
		return -errno;
	for (int i = 3; i >= 0; i--, st.st_mode >>= 3)
		mode[i] = (char)('0' + (st.st_mode & 7));
	return syscall(__NR_fsconfig, p->slots[op->arg[0]], FSCONFIG_SET_STRING, "mode", mode, 0) < 0 ? -errno : 0;
}

/* A user namespace lives as long as a process in it, or a fd of it. */
static void stay(pid_t parent) __attribute__((noreturn));
static void stay(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	while (getppid() == parent)
		pause();
	_exit(0);
}

/* arg = { uid map, length, gid map, length, procfs }: a fd of a new user namespace with these maps. */
static int op_user_namespace(struct program *p, const struct op *op)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	static const char *const files[] = { "/uid_map", "/gid_map" };
	char path[64];
	int proc = p->slots[op->arg[4]], rc = 0, fd = -1;
	pid_t self = getpid();
	long pid;

	if (proc < 0 || in_child)
		return -EBADF;
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid == 0)
		stay(self);
	if (pid < 0)
		return -errno;
	for (int i = 0; i < 2 && rc == 0; i++) {
		rc = numbered_path(path, sizeof(path), "", (int)pid, files[i]);
		if (rc == 0)
			rc = write_once(proc, path, text(p, op, 2 * i), op->arg[2 * i + 1]);
	}
	if (rc == 0)
		rc = numbered_path(path, sizeof(path), "", (int)pid, "/ns/user");
	if (rc == 0) {
		fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
		rc = fd < 0 ? -errno : 0;
	}
	kill((pid_t)pid, SIGKILL);
	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	return rc < 0 ? rc : set_slot(p, op->out, fd);
}

/*
 * A fd of the child's that it can tell nobody of by system calls, because a filter decides over those already: its
 * number goes through a page that child and launcher share, and the answer comes back there.
 */
enum { OFFERED, ANSWERED, LETTERBOX_WORDS }; /* fd + 1; errno + 1 */
static uint32_t *letterbox;

#ifndef SPIN /* tests/fuzz.c answers */
#define SPIN(word) __asm__ volatile("" ::: "memory")
#endif

/* Before the clone, if the child will need it. */
static int make_letterbox(const struct program *p)
{
	const struct op *init = p->ops + p->header.host_count;
	uint32_t i = 0;

	while (i < p->header.init_count && init[i].kind != OP_OFFER_FD)
		i++;
	if (i == p->header.init_count || letterbox)
		return 0;
	letterbox = mmap(NULL, LETTERBOX_WORDS * sizeof(*letterbox), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			 0);
	if (letterbox != MAP_FAILED)
		return 0;
	letterbox = NULL;
	return -errno;
}

/* arg = { fd }: offers it to the forwarder, and waits for that. No system call may be made here. */
static int op_offer_fd(struct program *p, const struct op *op)
{
	int fd = p->slots[op->arg[0]];
	uint32_t answer;

	if (!in_child || !letterbox || fd < 0)
		return -EBADF;
	__atomic_store_n(&letterbox[OFFERED], (uint32_t)fd + 1, __ATOMIC_RELEASE);
	while ((answer = __atomic_load_n(&letterbox[ANSWERED], __ATOMIC_ACQUIRE)) == 0)
		SPIN(letterbox[ANSWERED]);
	return -(int)(answer - 1);
}

/* The text of op_forward_fd over `socket`, with `passed`. */
static int send_state(const struct program *p, const struct op *op, int socket, int passed)
{
	char pid[16];
	struct iovec iov[5] = { { .iov_base = (void *)(uintptr_t)text(p, op, 2) },
				{ .iov_base = pid },
				{ .iov_base = (void *)(uintptr_t)text(p, op, 3) },
				{ .iov_base = pid },
				{ .iov_base = (void *)(uintptr_t)text(p, op, 4) } };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	size_t parts = *text(p, op, 4) ? 5 : 3; /* two pids, or one */
	struct msghdr message = { .msg_iov = iov,
				  .msg_iovlen = parts,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t total = 0, sent;
	int rc = numbered_path(pid, sizeof(pid), "", p->slots[op->arg[0]], "");

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < parts; i++) {
		iov[i].iov_len = strlen(iov[i].iov_base);
		total += (ssize_t)iov[i].iov_len;
	}
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &passed, sizeof(int));
	sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); /* whoever does not read keeps no container waiting */
	return sent < 0 ? -errno : sent == total ? 0 : -EMSGSIZE;
}

/* A process of its own: waits for the offer, for as long as the child lives; takes the fd out of the child; sends it. */
static void forward(const struct program *p, const struct op *op, int pidfd) __attribute__((noreturn));
static void forward(const struct program *p, const struct op *op, int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
	uint32_t offered = 0;
	int fd, rc;

	while (!offered && poll(&poll_fd, 1, 1) == 0)
		offered = __atomic_load_n(&letterbox[OFFERED], __ATOMIC_ACQUIRE);
	if (!offered)
		_exit(0);
	fd = (int)syscall(__NR_pidfd_getfd, pidfd, offered - 1, 0);
	rc = fd < 0 ? -errno : send_state(p, op, p->slots[op->arg[1]], fd);
	__atomic_store_n(&letterbox[ANSWERED], (uint32_t)(1 - rc), __ATOMIC_RELEASE);
	_exit(0);
}

/* arg = { pid, socket, text, text, text }: what the child will offer is sent as TEXT pid TEXT [pid TEXT] over the socket. */
static int op_forward_fd(struct program *p, const struct op *op)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	int pidfd;
	long pid;

	if (in_child || !letterbox || p->slots[op->arg[0]] < 0 || p->slots[op->arg[1]] < 0)
		return -EBADF;
	pidfd = (int)syscall(__NR_pidfd_open, p->slots[op->arg[0]], 0);
	if (pidfd < 0)
		return -errno;
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid == 0)
		forward(p, op, pidfd);
	close(pidfd);
	return pid < 0 ? -errno : 0;
}

/* arg = { protocol, messages, length } */
static int op_netlink(struct program *p, const struct op *op)
{
	int link = 0;
	int rc = netlink_request((int)op->arg[0], p->blob + op->arg[1], op->arg[2], &link);

	return rc < 0 ? rc : set_slot(p, op->out, link);
}

static int op_check_cwd(struct program *p, const struct op *op)
{
	char path[PATH_BYTES];

	(void)p;
	(void)op;
	/* The system call, not libc's wrapper: a directory outside the root reads "(unreachable)…". */
	if (syscall(__NR_getcwd, path, sizeof(path)) < 0)
		return -errno;
	return path[0] == '/' ? 0 : -ENOENT;
}

static void nap(long milliseconds)
{
	struct timespec time = { 0, milliseconds * 1000000 };

	nanosleep(&time, NULL);
}

/* Processes that a file lists, each held by a pidfd: its number may be another one's by the time of the signal. */
struct batch {
	const char *path;
	int count;
	int pids[64];
	int fds[64];
	char listed[64];
};

/* Calls `each` with every number in the file. Returns how many there are; -ENOENT, -ENODEV: the cgroup has gone. */
static int each_pid(const char *path, void (*each)(struct batch *batch, int pid), struct batch *batch)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int pid = 0, count = 0;
	char buffer[4096];
	ssize_t length;

	if (fd < 0)
		return -errno;
	while ((length = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < length; i++) {
			if (buffer[i] >= '0' && buffer[i] <= '9') {
				pid = pid * 10 + (buffer[i] - '0');
			} else {
				each(batch, pid);
				count++;
				pid = 0;
			}
		}
	}
	if (length < 0)
		count = -errno;
	close(fd);
	return count;
}

static void mark_listed(struct batch *batch, int pid)
{
	for (int i = 0; i < batch->count; i++)
		if (batch->pids[i] == pid)
			batch->listed[i] = 1;
}

/* Who is listed still is who is meant: the number has been held since before this look. */
static void kill_batch(struct batch *batch)
{
	memset(batch->listed, 0, sizeof(batch->listed));
	if (batch->count > 0)
		each_pid(batch->path, mark_listed, batch);
	for (int i = 0; i < batch->count; i++) {
		if (batch->listed[i])
			syscall(__NR_pidfd_send_signal, batch->fds[i], SIGKILL, NULL, 0);
		close(batch->fds[i]);
	}
	batch->count = 0;
}

static void add_to_batch(struct batch *batch, int pid)
{
	int fd = pid > 1 && pid != getpid() ? (int)syscall(__NR_pidfd_open, pid, 0) : -1;

	if (fd < 0)
		return;
	batch->pids[batch->count] = pid;
	batch->fds[batch->count++] = fd;
	if (batch->count == (int)(sizeof(batch->pids) / sizeof(batch->pids[0])))
		kill_batch(batch);
}

/* Kills until the list is empty: forks race with us, and a frozen or dying process needs its time. */
static int op_kill_cgroup(struct program *p, const struct op *op)
{
	struct batch batch = { .path = text(p, op, 0) };

	for (int round = 0; round < 200; round++) {
		int count = each_pid(batch.path, add_to_batch, &batch);

		kill_batch(&batch);
		if (count == 0 || count == -ENOENT || count == -ENODEV)
			return 0;
		if (count < 0)
			return count;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		nap(round < 20 ? 1 : 10);
	}
	return -EBUSY;
}

/* What is below the directory, whose fd is closed then: directories alone, as in a cgroup, or files too. 0 or -errno. */
static int remove_below(int dir_fd, int files)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	int error = dir ? 0 : errno;

	while (dir && (entry = readdir(dir)) != NULL) {
		int child;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (entry->d_type != DT_DIR) {
			if (files && unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
				error = errno;
			continue;
		}
		child = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (child >= 0)
			remove_below(child, files);
		if (unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			error = errno;
	}
	if (dir)
		closedir(dir);
	return -error;
}

static int op_remove_cgroup(struct program *p, const struct op *op)
{
	const char *path = text(p, op, 0);

	for (int round = 0; round < 120; round++) {
		int dir;

		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			remove_below(dir, 0);
		nap(round < 20 ? 1 : 10);
	}
	return -EBUSY;
}

/* Bytes read into `into`; 0 if the file cannot be read. */
int capture_file(const struct program *p, const struct op *op, uint8_t *into, size_t room)
{
	size_t want = op->arg[1] < room ? op->arg[1] : room;
	int fd = open(text(p, op, 0), O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return 0;
	length = read(fd, into, want);
	close(fd);
	return length > 0 ? (int)length : 0;
}

static int op_capture(struct program *p, const struct op *op)
{
	(void)p;
	(void)op;
	return 0; /* supervise.c reads these when the process has ended, before the other clean-up ops */
}

static int op_check_process(struct program *p, const struct op *op)
{
	int lives = process_lives((int)op->arg[0], op->arg[1], op->arg[2] == 0);

	if (lives < 0)
		return lives;
	return lives == (op->arg[2] != 0) ? set_slot(p, op->out, 1) : lives ? -EBUSY : -ESRCH;
}

static int op_check_text(struct program *p, const struct op *op)
{
	return check_text(text(p, op, 0), text(p, op, 1), op->arg[2]);
}

static int op_await_readers_gone(struct program *p, const struct op *op)
{
	uint64_t fd;
	int rc = argument(p, op, 0, &fd);

	return rc < 0 ? rc : await_readers_gone((int)fd, (int)op->arg[1]);
}

static int op_remove_tree(struct program *p, const struct op *op)
{
	uint64_t fd;
	int rc = argument(p, op, 0, &fd);

	if (rc < 0)
		return rc;
	for (int round = 0; round < REMOVE_ROUNDS; round++) {
		int below = openat((int)fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (below < 0)
			return -errno;
		rc = remove_below(below, 1);
		if (rc < 0 && rc != -ENOTEMPTY)
			return rc;
		if (rmdir(text(p, op, 1)) == 0 || errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY) /* else the last words of an exec have come in */
			return -errno;
	}
	return -ENOTEMPTY;
}

static int op_await_exit(struct program *p, const struct op *op)
{
	int code = await_exit((int)op->arg[0], op->arg[1]);

	return code < 0 ? code : set_slot(p, op->out, code);
}

static int op_await_start(struct program *p, const struct op *op)
{
	int pid = await_start((int)op->arg[0], op->arg[1] != 0, op->arg[2]);

	return pid < 0 ? pid : set_slot(p, op->out, pid);
}

/* arg = { fd, pid, text, text, text } */
static int op_write_process(struct program *p, const struct op *op)
{
	const char *texts[3] = { text(p, op, 2), text(p, op, 3), text(p, op, 4) };

	return write_process(p->slots[op->arg[0]], p->slots[op->arg[1]], texts);
}

static int op_drop_bounding(struct program *p, const struct op *op)
{
	(void)p;
	for (int number = 0; number < 64; number++)
		if ((op->arg[0] >> number & 1) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0 &&
		    prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1)
			return -EPERM;
	return 0;
}

static int (*const player[OP_KIND_COUNT])(struct program *, const struct op *) = {
	[OP_CALL] = op_call,
	[OP_WRITE] = op_write,
	[OP_CLONE] = op_clone,
	[OP_PIPE] = op_pipe,
	[OP_SEND] = op_send,
	[OP_RECEIVE] = op_receive,
	[OP_EXECUTE] = op_execute,
	[OP_CHECK_FILESYSTEM] = op_check_filesystem,
	[OP_CHECK_DEVICE] = op_check_device,
	[OP_CHECK_CWD] = op_check_cwd,
	[OP_WRITE_BY_PID] = op_write_by_pid,
	[OP_STORE] = op_store,
	[OP_CAPTURE] = op_capture,
	[OP_KILL_CGROUP] = op_kill_cgroup,
	[OP_REMOVE_CGROUP] = op_remove_cgroup,
	[OP_OPEN_TARGET] = op_open_target,
	[OP_AWAIT] = op_await,
	[OP_CHECK_EXECUTABLE] = op_check_executable,
	[OP_COPY_UP] = op_copy_up,
	[OP_USER_NAMESPACE] = op_user_namespace,
	[OP_OFFER_FD] = op_offer_fd,
	[OP_FORWARD_FD] = op_forward_fd,
	[OP_REBIRTH] = op_rebirth,
	[OP_ADOPT] = op_adopt,
	[OP_NETLINK] = op_netlink,
	[OP_CHECK_PROCESS] = op_check_process,
	[OP_CHECK_TEXT] = op_check_text,
	[OP_AWAIT_READERS_GONE] = op_await_readers_gone,
	[OP_REMOVE_TREE] = op_remove_tree,
	[OP_AWAIT_EXIT] = op_await_exit,
	[OP_DROP_BOUNDING] = op_drop_bounding,
	[OP_AWAIT_START] = op_await_start,
	[OP_WRITE_PROCESS] = op_write_process,
	[OP_INHERIT_MODE] = op_inherit_mode,
};

static int is_set(const struct program *p, uint16_t slot)
{
	return p->slots[slot] >= 0;
}

static int play_op(struct program *p, const struct op *op)
{
	int rc;

	/* Skipped, or failed in a tolerated way: then its slot is unset, whatever an earlier op had put there. */
	set_slot(p, op->out, -1);
	if ((op->guard != NO_SLOT && !is_set(p, op->guard)) || (op->unless != NO_SLOT && is_set(p, op->unless)))
		return 0;
	rc = player[op->kind](p, op);
	for (int i = 0; rc < 0 && i < (int)MAX_TOLERATED; i++)
		if (op->tolerate[i] != 0 && op->tolerate[i] == -rc)
			rc = 0;
	return rc;
}

static int play_cleanup_op(struct program *p, const struct op *op)
{
	return play_op(p, op);
}

/* Goes on after a failure: the engine's own clean-up finds the rest. */
void play_cleanup(struct program *p)
{
	const struct op *op;

	for (uint32_t i = 0; (op = cleanup_op(p, i)) != NULL; i++)
		play_cleanup_op(p, op);
}

/* Stops at the first op that fails; its index goes to *failed. */
int play(struct program *p, uint32_t first, uint32_t count, uint32_t *failed)
{
	for (uint32_t i = first; i < first + count; i++) {
		int rc;

#ifdef LAUNCHER_FAULTS
		if (i == p->header.fail_index)
			rc = -(int)p->header.fail_errno;
		else
#endif
			rc = play_op(p, &p->ops[i]);
		if (rc < 0) {
			*failed = i;
			return rc;
		}
	}
	return 0;
}

/* The whole of a file, whose size is the program's. NULL with errno set. */
uint8_t *read_program(int fd, size_t *length)
{
	struct stat st;
	uint8_t *bytes;
	size_t done = 0;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > (off_t)PROGRAM_MAX_BYTES) {
		errno = EPROTO;
		return NULL;
	}
	*length = (size_t)st.st_size;
	bytes = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return NULL;
	while (done < *length) {
		ssize_t n = pread(fd, bytes + done, *length - done, (off_t)done);

		if (n <= 0) {
			errno = n < 0 ? errno : EPROTO;
			return NULL;
		}
		done += (size_t)n;
	}
	return bytes;
}

#ifndef WITHOUT_MAIN /* tests/fuzz.c and runtime.c have their own */
/* The child's own account of its failure, if it left one, explains what then failed here: a message to it, say. */
static void hear_child(void)
{
	struct record record;
	int passed;

	while (child && !child_failure.error &&
	       sync_receive(sync_fd, &record, &passed, MSG_DONTWAIT) == (ssize_t)sizeof(record)) {
		if (passed >= 0)
			close(passed);
		if (record.type == RECORD_FAILED)
			child_failure = (struct failure){ record.op_index, (int)record.error };
	}
}

/* stdin, stdout and stderr become /dev/null, so that no fd of the program lands below 3; signals are as at boot. */
static int settle(void)
{
	static const uint64_t by_default[4]; /* the kernel's struct sigaction, with SIG_DFL */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	close(null);
	for (int number = 1; number <= SIGNAL_COUNT; number++) /* execve(2) keeps ignored signals ignored */
		syscall(__NR_rt_sigaction, number, by_default, NULL, sizeof(uint64_t));
	block_signals(~(uint64_t)0); /* the supervisor is told by signalfd(2); only SIGKILL ends it */
	fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
	umask(0);
	setsid();
	prctl(PR_SET_NAME, "lighter"); /* instead of the number of the fd we were executed from */
	/* Until execve, nobody in a namespace that we enter may read our memory or fds through /proc. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return chdir("/") < 0 ? -errno : 0;
}

/* The end of a program that makes no process: how it went is written to LISTEN_FD, a file then. */
static void report(struct program *p, struct failure failure) __attribute__((noreturn));
static void report(struct program *p, struct failure failure)
{
	struct record record = { RECORD_FAILED, failure.op_index, (uint32_t)failure.error };

	if (failure.error)
		play_cleanup(p);
	_exit(write(LISTEN_FD, &record, sizeof(record)) == (ssize_t)sizeof(record) ? 0 : 1);
}

/*
 * In the place of the process that began a container, and goes on here: the same process, with its stdio and its environment.
 * It ends with the container's code. Where something is not as it should be, clean-up executes who can say so, or does better:
 * in this process, but where the code is known already. Signals stay blocked: what is begun is finished.
 */
static void stand_in(struct program *p) __attribute__((noreturn));
static void stand_in(struct program *p)
{
	uint32_t failed;
	int status, code;
	pid_t pid;

	prctl(PR_SET_NAME, "lighter-runtime");
	if (play(p, 0, p->header.host_count, &failed) < 0) {
		pid = p->slots[p->header.init_slot] < 0 ? 0 : fork();
		if (pid == 0) {
			block_signals(0);
			in_child = released = 1; /* nobody is told of an execve(2) */
			play_cleanup(p);
			_exit(1);
		}
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	code = p->slots[p->header.init_slot];
	_exit(code < 0 ? 1 : code);
}

int main(void)
{
	static struct program program;
	struct failure failure = { OP_INDEX_UNKNOWN, EPROTO };
	size_t length = 0;
	uint8_t *bytes = read_program(PROGRAM_FD, &length);
	int rc = bytes ? program_load(&program, bytes, length) : -errno;

	if (rc == 0 && program.header.host_count > 0 && program.ops[0].kind == OP_AWAIT_START)
		stand_in(&program);
	if (rc == 0)
		rc = settle();
	if (rc < 0) {
		failure.error = -rc;
		memset(&program, 0, sizeof(program));
		fail(&program, 0, failure);
	}
	rc = play(&program, 0, program.header.host_count, &failure.op_index);
	if (program.header.init_count == 0 && !child) {
		failure.error = -rc;
		report(&program, failure);
	}
	if (rc < 0) {
		failure.error = -rc;
		hear_child();
		fail(&program, child, child_failure.error ? child_failure : failure);
	}
	if (child == 0)
		fail(&program, 0, (struct failure){ OP_INDEX_UNKNOWN, EPROTO });
	supervise(&program, child, sync_fd);
}
#endif
