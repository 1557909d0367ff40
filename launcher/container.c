/* Ops on a container that is there already: what a command of the OCI runtime does to it (runtime.c). */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Field 22 of proc_pid_stat(5) counted from field 3, which is behind the last parenthesis of the name. */
#define START_TIME_FIELD 19

/* 1: there is that process, and it has not ended; a zombie has. 0: there is not. -errno */
int process_lives(int pid, uint64_t start_time)
{
	char path[32], stat[1024];
	const char *field;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	length = read(fd, stat, sizeof(stat) - 1);
	if (length < 0)
		length = errno == ESRCH ? 0 : -errno;
	close(fd);
	if (length <= 0)
		return (int)length;
	stat[length] = 0;
	field = strrchr(stat, ')');
	if (!field || field[1] != ' ')
		return -EPROTO;
	field += 2;
	if (strchr("ZXx", *field))
		return 0;
	for (int skipped = 0; skipped < START_TIME_FIELD; skipped++) {
		field = strchr(field, ' ');
		if (!field)
			return -EPROTO;
		field++;
	}
	return strtoull(field, NULL, 10) == start_time;
}

/* 0 if the file begins with the text, else -EBUSY or -errno. */
int check_text(const char *path, const void *text, size_t length)
{
	char found[64];
	ssize_t got;
	int fd;

	if (length > sizeof(found))
		return -EPROTO;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, found, length);
	if (got < 0)
		got = -errno;
	close(fd);
	if (got < 0)
		return (int)got;
	return (size_t)got == length && memcmp(found, text, length) == 0 ? 0 : -EBUSY;
}

/* Waits until nobody has the FIFO, which is open for writing, open for reading any more. */
int await_readers_gone(int fd, int timeout_ms)
{
	struct pollfd writing = { .fd = fd };
	int ready;

	do { /* POLLERR comes unasked */
		ready = poll(&writing, 1, timeout_ms);
	} while (ready < 0 && errno == EINTR);
	return ready < 0 ? -errno : ready == 0 ? -ETIMEDOUT : 0;
}
