/*
 * Copies what lies below a mount point into the new file system that will cover it (the mount
 * option tmpcopyup). The source may be a volume that another container changes meanwhile:
 * everything is opened by name in an open directory, without following links, and checked again
 * once it is open; sizes and counts have bounds. Allocates nothing: this runs between clone3(2) and
 * execve(2).
 */
#include "play.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define COPY_MAX_DEPTH 100 /* 4 KiB of stack each */
#define COPY_MAX_ENTRIES 1000000 /* a directory that grows as fast as it is read has no end */
#define COPY_MAX_LINK 4096

static uint32_t copied;

/* Copies xattrs, except those that tmpfs does not take or this user may not set. */
static int copy_xattrs(int from, int to)
{
	static char names[65536], value[65536]; /* the kernel's own limits */
	ssize_t length = flistxattr(from, names, sizeof(names));

	for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t size = fgetxattr(from, names + at, value, sizeof(value));

		if (size >= 0 && fsetxattr(to, names + at, value, (size_t)size, 0) < 0 &&
		    errno != EOPNOTSUPP && errno != EPERM)
			return -errno;
	}
	return 0;
}

static int copy_xattrs_and_times(int from, int to, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	int rc = copy_xattrs(from, to);

	return rc < 0 ? rc : futimens(to, times) < 0 ? -errno : 0;
}

/*
 * Copies owner, mode and so on. The order matters: a change of owner clears set-id bits and file
 * capabilities.
 */
static int copy_metadata(int from, int to, const struct stat *st)
{
	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	return copy_xattrs_and_times(from, to, st);
}

static int copy_children(int from, int to, int depth);

static int copy_directory(int from, int to, const char *name, int depth)
{
	int source, target, rc;
	struct stat st;

	if (depth >= COPY_MAX_DEPTH)
		return -ENAMETOOLONG;
	if (mkdirat(to, name, 0700) < 0)
		return -errno;
	source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0)
		return -errno;
	target = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = target < 0 || fstat(source, &st) < 0 ? -errno :
						    copy_children(source, target, depth + 1);
	if (rc == 0)
		rc = copy_metadata(source, target, &st);
	if (target >= 0)
		close(target);
	close(source);
	return rc;
}

static int copy_bytes(int source, int target, off_t size)
{
	while (size > 0) {
		ssize_t length = sendfile(target, source, NULL,
					  size < 0x40000000 ? (size_t)size : 0x40000000);

		if (length < 0)
			return -errno;
		if (length == 0)
			return 0; /* the file became shorter */
		size -= length;
	}
	return 0;
}

static int copy_file(int from, int to, const char *name)
{
	/* O_NONBLOCK: the file may have become a FIFO. */
	int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC),
	    target, rc;
	struct stat st;

	if (source < 0)
		return -errno;
	target = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (target < 0 || fstat(source, &st) < 0)
		rc = -errno;
	else
		rc = S_ISREG(st.st_mode) ? copy_bytes(source, target, st.st_size) : -ESTALE;
	if (rc == 0)
		rc = copy_metadata(source, target, &st);
	if (target >= 0)
		close(target);
	close(source);
	return rc;
}

/* Copies symbolic links, FIFOs, sockets and devices; in a user namespace devices are EPERM. */
static int copy_special(int from, int to, const char *name, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (S_ISLNK(st->st_mode)) {
		char link[COPY_MAX_LINK];
		ssize_t length = readlinkat(from, name, link, sizeof(link));

		if (length < 0)
			return -errno;
		if (length == sizeof(link))
			return -ENAMETOOLONG;
		link[length] = 0;
		if (symlinkat(link, to, name) < 0)
			return -errno;
	} else if (mknodat(to, name, st->st_mode, st->st_rdev) < 0) {
		return -errno;
	}
	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	/* nobody else sees `to` */
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_entry(int from, int to, const char *name, int depth)
{
	struct stat st;

	if (++copied > COPY_MAX_ENTRIES)
		return -E2BIG;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return copy_directory(from, to, name, depth);
	return S_ISREG(st.st_mode) ? copy_file(from, to, name) : copy_special(from, to, name, &st);
}

static int copy_children(int from, int to, int depth)
{
	_Alignas(struct dirent64) char buffer[4096];
	ssize_t length;

	while ((length = getdents64(from, (void *)buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < length;) {
			const struct dirent64 *entry = (const void *)(buffer + at);
			int rc;

			at += entry->d_reclen;
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
				continue;
			rc = copy_entry(from, to, entry->d_name, depth);
			if (rc < 0)
				return rc;
		}
	}
	return length < 0 ? -errno : 0;
}

/*
 * Copies from directory `from` (O_PATH will do) to directory `to`, which has its mode already.
 * Returns 0 or -errno.
 */
static int copy_up(int from, int to, int with_owner)
{
	int source = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), target, rc;
	struct stat st;

	if (source < 0)
		return -errno;
	target = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	copied = 0;
	rc = target < 0 || fstat(source, &st) < 0 ? -errno : copy_children(source, target, 0);
	if (rc == 0 && with_owner && fchown(target, st.st_uid, st.st_gid) < 0)
		rc = -errno;
	if (rc == 0)
		rc = copy_xattrs_and_times(source, target, &st);
	if (target >= 0)
		close(target);
	close(source);
	return rc;
}

int op_copy_up(struct program *p, const struct op *op)
{
	int from = p->slots[op->arg[0]], to = p->slots[op->arg[1]];

	return from < 0 || to < 0 ? -EBADF : copy_up(from, to, op->arg[2] != 0);
}
