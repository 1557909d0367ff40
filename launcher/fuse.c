/*
 * The kernel's side of the protocol is fs/fuse/ in Linux, its structs are in <linux/fuse.h>. The
 * file system is a directory, inode 1, with the files of view.h, which never change. They are
 * opened for direct reads, so that the kernel keeps nothing of them.
 */
#include "fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "play.h"
#include "view.h"

#define REQUEST_BYTES 8192 /* the least that the kernel accepts: FUSE_MIN_READ_BUFFER */
#define MINOR 31 /* the version whose structs are used here; kernels know all older ones */
#define FIRST_FILE 2 /* the inode of the first */
#define FOR_EVER 3600 /* seconds that the kernel remembers a name and its attributes for */
#define TEXT_BYTES (1 << 20) /* only what is used takes memory */
#define TURN 32 /* requests that are answered before others have their turn */
/*
 * A reader's time is the container's, but ours is the host's: a while at once, then an eighth of a
 * processor.
 */
#define BURST_NS 250000000
#define RESUME_NS 1000000
#define SHARE 8
#define REST_MS 5
#define OPENS 256 /* files open at a time whose texts are remembered between two reads */
#define KEPT_BYTES (256 * 1024) /* of such texts together */

/* An open file, from its last read from the beginning on. */
struct reader {
	uint64_t serial;
	uint32_t length;
	char *text; /* NULL if the first read took it all */
};

static int fuse_fd = -1;
static uint64_t serial, refilled_ns, began_s;
static int64_t budget_ns = BURST_NS;
static struct reader readers[OPENS];
static size_t kept_bytes;
static char text_room[TEXT_BYTES];

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* A request that was given up meanwhile takes no answer: ENOENT, which is all right. */
static void answer(uint64_t unique, int error, const void *data, size_t length)
{
	struct fuse_out_header header = { (uint32_t)(sizeof(header) + length), -error, unique };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)(uintptr_t)data, length } };

	if (writev(fuse_fd, parts, length ? 2 : 1) < 0)
		return;
}

static struct fuse_attr attributes(uint64_t inode)
{
	struct fuse_attr attr = { .ino = inode, .nlink = 1, .blksize = 4096 };

	attr.atime = attr.mtime = attr.ctime = began_s;
	attr.mode = inode == FUSE_ROOT_ID ? S_IFDIR | 0555 : S_IFREG | 0444;
	return attr;
}

static void answer_init(const struct fuse_in_header *in, const struct fuse_init_in *init)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = MINOR };

	out.max_readahead = init->max_readahead;
	out.max_background = 16;
	out.congestion_threshold = 12;
	out.max_write = 4096;
	out.time_gran = 1;
	answer(in->unique, 0, &out, sizeof(out));
}

static void answer_lookup(const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out out = { .entry_valid = FOR_EVER, .attr_valid = FOR_EVER };

	for (unsigned i = 0; in->nodeid == FUSE_ROOT_ID && i < VIEW_FILES; i++)
		if (strcmp(name, view_name(i)) == 0)
			out.nodeid = FIRST_FILE + i;
	if (out.nodeid == 0) {
		answer(in->unique, ENOENT, NULL, 0);
		return;
	}
	out.attr = attributes(out.nodeid);
	answer(in->unique, 0, &out, sizeof(out));
}

static void answer_getattr(const struct fuse_in_header *in)
{
	struct fuse_attr_out out = { .attr_valid = FOR_EVER, .attr = attributes(in->nodeid) };

	answer(in->unique, 0, &out, sizeof(out));
}

static void forget(struct reader *reader)
{
	if (reader->text) {
		munmap(reader->text, reader->length);
		kept_bytes -= reader->length;
	}
	*reader = (struct reader){ 0 };
}

/* The reader of an open file; undisturbed until so many others have begun to read. */
static struct reader *reader_of(uint64_t handle)
{
	return &readers[handle % OPENS];
}

static void answer_open(const struct fuse_in_header *in, const struct fuse_open_in *open)
{
	struct fuse_open_out out = { .fh = ++serial, .open_flags = FOPEN_DIRECT_IO };

	if ((open->flags & O_ACCMODE) != O_RDONLY || in->nodeid < FIRST_FILE)
		answer(in->unique, EACCES, NULL, 0);
	else
		answer(in->unique, 0, &out, sizeof(out));
}

/* Makes the text for a read from the beginning, and keeps what that read does not take. */
static size_t begin_reading(struct reader *reader, uint64_t handle, unsigned file, size_t size)
{
	size_t length = view_text(file, text_room, sizeof(text_room));
	void *kept = MAP_FAILED;

	forget(reader);
	reader->serial = handle;
	reader->length = (uint32_t)length;
	if (length <= size || kept_bytes + length > KEPT_BYTES)
		return length;
	kept = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (kept == MAP_FAILED)
		return length;
	reader->text = memcpy(kept, text_room, length);
	kept_bytes += length;
	return length;
}

/*
 * A read from the beginning sees what is now. Those after it go on in the same text: if it is not
 * here any more, in a new one that is no longer than the first.
 */
static void answer_read(const struct fuse_in_header *in, const struct fuse_read_in *read)
{
	unsigned file = (unsigned)(in->nodeid - FIRST_FILE);
	struct reader *reader = reader_of(read->fh);
	const char *text = text_room;
	size_t length;

	if (read->offset == 0) {
		length = begin_reading(reader, read->fh, file, read->size);
	} else if (reader->serial == read->fh && (reader->text || read->offset >= reader->length)) {
		length = reader->length;
		text = reader->text;
	} else {
		length = view_text(file, text_room, sizeof(text_room));
		if (reader->serial == read->fh && length > reader->length)
			length = reader->length;
	}
	if (read->offset >= length) {
		answer(in->unique, 0, NULL, 0);
		return;
	}
	length -= read->offset;
	answer(in->unique, 0, text + read->offset, length < read->size ? length : read->size);
}

static void answer_release(const struct fuse_in_header *in, const struct fuse_release_in *release)
{
	if (reader_of(release->fh)->serial == release->fh)
		forget(reader_of(release->fh));
	answer(in->unique, 0, NULL, 0);
}

static void answer_request(const struct fuse_in_header *in, const void *body)
{
	static const struct fuse_statfs_out nothing = { .st = { .bsize = 4096, .namelen = 255 } };

	switch (in->opcode) {
	case FUSE_INIT:
		answer_init(in, body);
		return;
	case FUSE_LOOKUP:
		answer_lookup(in, body);
		return;
	case FUSE_GETATTR:
		answer_getattr(in);
		return;
	case FUSE_OPEN:
		answer_open(in, body);
		return;
	case FUSE_READ:
		if (in->nodeid < FIRST_FILE || in->nodeid >= FIRST_FILE + VIEW_FILES)
			break;
		answer_read(in, body);
		return;
	case FUSE_RELEASE:
		answer_release(in, body);
		return;
	case FUSE_STATFS:
		answer(in->unique, 0, &nothing, sizeof(nothing));
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return; /* the one that takes no answer */
	default:
		break;
	}
	answer(in->unique, ENOSYS, NULL, 0); /* the kernel remembers that, and asks no more */
}

void fuse_begin(const struct program *p)
{
	if (!stage.view || p->slots[stage.view->arg[0]] < 0)
		return;
	fuse_fd = p->slots[stage.view->arg[0]];
	refilled_ns = clock_ns(CLOCK_MONOTONIC);
	began_s = (uint64_t)time(NULL);
	view_begin(p, stage.view);
}

int fuse_poll(int *timeout_ms)
{
	uint64_t now;

	if (fuse_fd < 0 || budget_ns > 0)
		return fuse_fd;
	now = clock_ns(CLOCK_MONOTONIC);
	if ((now - refilled_ns) / SHARE >= (uint64_t)(RESUME_NS - budget_ns)) {
		budget_ns += (int64_t)((now - refilled_ns) / SHARE);
		budget_ns = budget_ns < BURST_NS ? budget_ns : BURST_NS;
		refilled_ns = now;
		return fuse_fd;
	}
	if (*timeout_ms < 0 || *timeout_ms > REST_MS)
		*timeout_ms = REST_MS;
	return -1;
}

void fuse_end(void)
{
	if (fuse_fd >= 0)
		close(fuse_fd);
	fuse_fd = -1;
}

/* Reads and answers one request. Returns 0 if there is none. */
static int serve_one(void)
{
	static union {
		struct fuse_in_header header;
		char bytes[REQUEST_BYTES + 1]; /* and a 0, so that a name ends */
	} request;
	ssize_t length = read(fuse_fd, request.bytes, REQUEST_BYTES);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (length < 0 && errno == ENOENT)
		return 1; /* it was given up */
	if (length < (ssize_t)sizeof(request.header)) {
		fuse_end(); /* nobody has it mounted any more */
		return 0;
	}
	request.bytes[length] = 0;
	answer_request(&request.header, request.bytes + sizeof(request.header));
	return 1;
}

void fuse_serve(void)
{
	uint64_t began_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	for (int i = 0; i < TURN && serve_one(); i++)
		;
	budget_ns -= (int64_t)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns);
}
