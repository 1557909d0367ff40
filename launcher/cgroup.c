/* Ops that remove what a container leaves: its processes, its cgroups, its directories. */
#include "play.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REMOVE_ROUNDS 100 /* others may put something into a directory that is being removed */

static void nap(long milliseconds)
{
	struct timespec time = { 0, milliseconds * 1000000 };

	nanosleep(&time, NULL);
}

/*
 * Processes that a file lists. Each is held by a pidfd: by the time of the signal, its number may
 * be another process's.
 */
struct batch {
	const char *path;
	int count;
	int pids[64];
	int fds[64];
	char listed[64];
};

/*
 * Calls `each` with every number in the file. Returns how many there are, or -ENOENT or -ENODEV if
 * the cgroup has gone.
 */
static int each_pid(const char *path, void (*each)(struct batch *batch, int pid),
		    struct batch *batch)
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

/*
 * A process that is still listed is the one that is meant: it has been held since before this look.
 */
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

/* Kills until the list is empty: processes fork meanwhile, and a frozen or dying one needs time. */
int op_kill_cgroup(struct program *p, const struct op *op)
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

/*
 * Removes what is below the directory, and closes its fd: only directories, as in a cgroup, or
 * files too. Returns 0 or -errno.
 */
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
		child = openat(dirfd(dir), entry->d_name,
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (child >= 0)
			remove_below(child, files);
		if (unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			error = errno;
	}
	if (dir)
		closedir(dir);
	return -error;
}

int op_remove_cgroup(struct program *p, const struct op *op)
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

int op_remove_tree(struct program *p, const struct op *op)
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
		if (errno != ENOTEMPTY) /* otherwise the last words of an exec have come in */
			return -errno;
	}
	return -ENOTEMPTY;
}
