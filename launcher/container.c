/* Ops on a container that is there already: what a command of the OCI runtime does to it. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fields 9, 22 and 31 of proc_pid_stat(5) counted from field 3, which is behind the last parenthesis of the name. */
enum { FLAGS_FIELD = 6, START_TIME_FIELD = 19, PENDING_FIELD = 28 };
#define PF_EXITING 0x4		/* of the flags: linux/sched.h */
#define DYING_TIMEOUT_MS 1000 /* what is being killed may have much to let go of */

enum { ENDED, DYING, LIVES };

/* Of that process; a zombie has ended. Or -errno. */
static int read_life(int pid, uint64_t start_time)
{
	char path[32], stat[1024];
	unsigned long long values[PENDING_FIELD + 1] = { 0 };
	const char *field;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? ENDED : -errno;
	length = read(fd, stat, sizeof(stat) - 1);
	if (length < 0)
		length = errno == ESRCH ? ENDED : -errno;
	close(fd);
	if (length <= 0)
		return (int)length;
	stat[length] = 0;
	field = strrchr(stat, ')');
	if (!field || field[1] != ' ')
		return -EPROTO;
	field += 2;
	if (strchr("ZXx", *field))
		return ENDED;
	for (int i = 1; i <= PENDING_FIELD; i++) {
		field = strchr(field, ' ');
		if (!field)
			return -EPROTO;
		values[i] = strtoull(++field, NULL, 10);
	}
	if (values[START_TIME_FIELD] != start_time)
		return ENDED;
	return values[FLAGS_FIELD] & PF_EXITING || values[PENDING_FIELD] & 1 << (SIGKILL - 1) ? DYING : LIVES;
}

/* 1: there is that process, and it has not ended. 0: there is not. -errno. If it `ends`, and has been killed, waits for that. */
int process_lives(int pid, uint64_t start_time, int ends)
{
	int fd = ends ? (int)syscall(__NR_pidfd_open, pid, 0) : -1;
	struct pollfd end = { fd, POLLIN, 0 };
	int life = read_life(pid, start_time);

	if (life == LIVES && ends) /* between its taking the signal and its exit neither shows */
		life = read_life(pid, start_time);
	if (life == DYING && fd >= 0) {
		poll(&end, 1, DYING_TIMEOUT_MS);
		life = read_life(pid, start_time);
	}
	if (fd >= 0)
		close(fd);
	return life > 0 ? 1 : life;
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

static void pass_signals_on(int signal_fd, int connection)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		uint8_t frame[FRAME_BYTES + 4] = { FRAME_SIGNAL, [7] = 4 };

		memcpy(frame + FRAME_BYTES, &info.ssi_signo, 4);
		send(connection, frame, sizeof(frame), MSG_NOSIGNAL); /* if it is gone, so is the process */
	}
}

/* Looks for EXITED in what has come, and keeps what is not a whole frame. Returns how much that is, or -EPROTO. */
static int take_frames(uint8_t *bytes, size_t length, size_t room, int *code)
{
	while (length >= FRAME_BYTES) {
		size_t end = FRAME_BYTES + ((size_t)bytes[4] << 24 | (size_t)bytes[5] << 16 | (size_t)bytes[6] << 8 | bytes[7]);

		if (end > room)
			return -EPROTO;
		if (length < end)
			break;
		if (bytes[0] == FRAME_EXITED && end >= FRAME_BYTES + EXIT_HEADER_BYTES) {
			int status;

			memcpy(&status, bytes + FRAME_BYTES + 8, 4);
			*code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
		length -= end;
		memmove(bytes, bytes + end, length);
	}
	return (int)length;
}

/* Until the supervisor at the other end has gone. ECHILD: it did not say how its process ended. */
int await_exit(int connection, uint64_t signals)
{
	uint8_t bytes[FRAME_BYTES + EXIT_HEADER_BYTES + EXIT_MAX_CAPTURE_BYTES];
	int signal_fd = (int)syscall(__NR_signalfd4, -1, &signals, sizeof(signals), SFD_CLOEXEC | SFD_NONBLOCK);
	int length = 0, code = -ECHILD;

	if (signal_fd < 0)
		return -errno;
	for (;;) {
		struct pollfd fds[] = { { connection, POLLIN, 0 }, { signal_fd, POLLIN, 0 } };
		ssize_t n;

		poll(fds, 2, -1);
		pass_signals_on(signal_fd, connection);
		n = recv(connection, bytes + length, sizeof(bytes) - (size_t)length, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			break;
		length = take_frames(bytes, (size_t)(length + n), sizeof(bytes), &code);
		if (length < 0) {
			code = length;
			break;
		}
	}
	close(signal_fd);
	close(connection); /* nobody who is executed later has it */
	return code;
}
