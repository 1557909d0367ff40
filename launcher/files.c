/* Ops on files: what is written, opened in a root, and looked at. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define MAX_SYMLINKS 40 /* the kernel's own limit */

int write_once(int dir, const char *path, const void *data, size_t length)
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
int op_write(struct program *p, const struct op *op)
{
	uint64_t dir;
	int rc = argument(p, op, 0, &dir);

	return rc < 0 ? rc : write_once((int)dir, text(p, op, 1), text(p, op, 2), op->arg[3]);
}

int numbered_path(char *path, size_t room, const char *prefix, int value, const char *suffix)
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

/*
 * arg = { prefix, pid slot, suffix, data, length, dir fd }. Writes to the file PREFIX pid SUFFIX
 * under dir.
 */
int op_write_by_pid(struct program *p, const struct op *op)
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

int renamed_meanwhile(unsigned *tries)
{
	return errno == EAGAIN && ++*tries < 1000;
}

static int open_in_root(int root, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_PATH | O_CLOEXEC, .resolve = resolve };
	unsigned tries = 0;
	long fd;

	do
		fd = syscall(__NR_openat2, root, path, &how, sizeof(how));
	while (fd < 0 && renamed_meanwhile(&tries));
	return fd < 0 ? -errno : (int)fd;
}

/* Replaces the component path[start, end), a dangling link, by the link's text. */
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

/*
 * Finds the deepest existing directory above the path's last component, or the root if there is
 * none; *end is where its own path ends.
 */
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
 * Makes what is missing of the path, one component at a time, each in a directory that was itself
 * opened in the root: no symlink leads out, not even one that appears meanwhile. Returns an fd, or
 * -EAGAIN if a link has changed the path.
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
		rc = last && !type ? mknodat(parent, name, S_IFREG | 0644, 0) :
				     mkdirat(parent, name, 0755);
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
int op_open_target(struct program *p, const struct op *op)
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

int op_check_filesystem(struct program *p, const struct op *op)
{
	struct statfs fs;
	int fd = p->slots[op->arg[0]];

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	return (uint64_t)fs.f_type == op->arg[1] ? 0 : -EXDEV;
}

int op_check_device(struct program *p, const struct op *op)
{
	struct stat st;
	int fd = p->slots[op->arg[0]];

	if (fstat(fd, &st) < 0)
		return -errno;
	return IFTODT(st.st_mode) == op->arg[3] && major(st.st_rdev) == op->arg[1] &&
			       minor(st.st_rdev) == op->arg[2] ?
		       0 :
		       -ENODEV;
}

int op_inherit_mode(struct program *p, const struct op *op)
{
	char mode[] = "0000";
	struct stat st;

	if (fstat(p->slots[op->arg[1]], &st) < 0)
		return -errno;
	for (int i = 3; i >= 0; i--, st.st_mode >>= 3)
		mode[i] = (char)('0' + (st.st_mode & 7));
	return syscall(__NR_fsconfig, p->slots[op->arg[0]], FSCONFIG_SET_STRING, "mode", mode, 0) <
			       0 ?
		       -errno :
		       0;
}

/* arg = { fs, key, fd } */
int op_fd_parameter(struct program *p, const struct op *op)
{
	char number[12];
	int fd = p->slots[op->arg[2]], rc;

	if (fd < 0)
		return -EBADF;
	rc = numbered_path(number, sizeof(number), "", fd, "");
	if (rc == 0 && syscall(__NR_fsconfig, p->slots[op->arg[0]], FSCONFIG_SET_STRING,
			       text(p, op, 1), number, 0) < 0)
		rc = -errno;
	return rc;
}

int op_check_cwd(struct program *p, const struct op *op)
{
	char path[PATH_BYTES];

	(void)p;
	(void)op;
	/*
	 * The system call, not libc's wrapper: a directory outside the root reads "(unreachable)…".
	 */
	if (syscall(__NR_getcwd, path, sizeof(path)) < 0)
		return -errno;
	return path[0] == '/' ? 0 : -ENOENT;
}

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

int op_capture(struct program *p, const struct op *op)
{
	(void)p;
	(void)op;
	/* supervise.c reads these when the process has ended, before the other clean-up ops */
	return 0;
}
