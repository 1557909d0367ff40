/* Ops on an existing container: what a command of the OCI runtime does to it. */
#include "play.h"

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

/*
 * Fields 9, 22 and 31 of proc_pid_stat(5), counted from field 3, which follows the last parenthesis
 * of the name.
 */
enum { FLAGS_FIELD = 6, START_TIME_FIELD = 19, PENDING_FIELD = 28 };
#define PF_EXITING 0x4 /* one of the flags; linux/sched.h */
#define DYING_TIMEOUT_MS 1000 /* a process that is being killed may have much to free */

enum { ENDED, DYING, LIVES };

/*
 * Reads the state and the values that follow it. Returns 1, 0 if there is no such process, or
 * -errno.
 */
static int read_stat(int pid, char *state, uint64_t values[PENDING_FIELD + 1])
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
	*state = *field;
	for (int i = 1; i <= PENDING_FIELD; i++) {
		field = strchr(field, ' ');
		if (!field)
			return -EPROTO;
		values[i] = strtoull(++field, NULL, 10);
	}
	return 1;
}

/* Whether that process lives; a zombie has ended. Or -errno. */
static int read_life(int pid, uint64_t start_time)
{
	uint64_t values[PENDING_FIELD + 1];
	char state;
	int rc = read_stat(pid, &state, values);

	if (rc <= 0)
		return rc == 0 ? ENDED : rc;
	if (strchr("ZXx", state) || values[START_TIME_FIELD] != start_time)
		return ENDED;
	return values[FLAGS_FIELD] & PF_EXITING || values[PENDING_FIELD] & 1 << (SIGKILL - 1) ?
		       DYING :
		       LIVES;
}

/* Writes TEXT pid TEXT and, if there is a third text, the start time and TEXT. */
static int write_process(int fd, int pid, const char *const texts[3])
{
	uint64_t values[PENDING_FIELD + 1];
	char state;
	int rc = read_stat(pid, &state, values);

	if (rc <= 0)
		return rc == 0 ? -ESRCH : rc;
	if (*texts[2])
		rc = dprintf(fd, "%s%d%s%llu%s", texts[0], pid, texts[1],
			     (unsigned long long)values[START_TIME_FIELD], texts[2]);
	else
		rc = dprintf(fd, "%s%d%s", texts[0], pid, texts[1]);
	return rc < 0 ? -errno : 0;
}

/* arg = { fd, pid, text, text, text } */
int op_write_process(struct program *p, const struct op *op)
{
	const char *texts[3] = { text(p, op, 2), text(p, op, 3), text(p, op, 4) };

	return write_process(p->slots[op->arg[0]], p->slots[op->arg[1]], texts);
}

/*
 * Returns 1 if that process exists and has not ended, 0 if not, or -errno. With `ends`, waits for
 * the end of one that has been killed.
 */
static int process_lives(int pid, uint64_t start_time, int ends)
{
	int fd = ends ? (int)syscall(__NR_pidfd_open, pid, 0) : -1;
	struct pollfd end = { fd, POLLIN, 0 };
	int life = read_life(pid, start_time);

	if (life == LIVES && ends) /* between taking the signal and exiting, neither shows */
		life = read_life(pid, start_time);
	if (life == DYING && fd >= 0) {
		poll(&end, 1, DYING_TIMEOUT_MS);
		life = read_life(pid, start_time);
	}
	if (fd >= 0)
		close(fd);
	return life > 0 ? 1 : life;
}

int op_check_process(struct program *p, const struct op *op)
{
	int lives = process_lives((int)op->arg[0], op->arg[1], op->arg[2] == 0);

	if (lives < 0)
		return lives;
	return lives == (op->arg[2] != 0) ? set_slot(p, op->out, 1) : lives ? -EBUSY : -ESRCH;
}

/* Returns 0 if the file begins with the text, otherwise -EBUSY or -errno. */
static int check_text(const char *path, const void *text, size_t length)
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

int op_check_text(struct program *p, const struct op *op)
{
	return check_text(text(p, op, 0), text(p, op, 1), op->arg[2]);
}

/* Waits until nobody has the FIFO open for reading; our fd is open for writing. */
static int await_readers_gone(int fd, int timeout_ms)
{
	struct pollfd writing = { .fd = fd };
	int ready;

	do { /* POLLERR is always reported */
		ready = poll(&writing, 1, timeout_ms);
	} while (ready < 0 && errno == EINTR);
	return ready < 0 ? -errno : ready == 0 ? -ETIMEDOUT : 0;
}

int op_await_readers_gone(struct program *p, const struct op *op)
{
	uint64_t fd;
	int rc = argument(p, op, 0, &fd);

	return rc < 0 ? rc : await_readers_gone((int)fd, (int)op->arg[1]);
}

static int open_signals(uint64_t signals)
{
	int fd = (int)syscall(__NR_signalfd4, -1, &signals, sizeof(signals),
			      SFD_CLOEXEC | SFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static void pass_signals_on(int signal_fd, int connection)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		uint8_t frame[FRAME_BYTES + 4] = { FRAME_SIGNAL, [7] = 4 };

		memcpy(frame + FRAME_BYTES, &info.ssi_signo, 4);
		/* if the supervisor has gone, so has the process */
		send(connection, frame, sizeof(frame), MSG_NOSIGNAL);
	}
}

/* A supervisor's message: the beginning of a frame. */
struct heard {
	uint8_t kind;
	uint32_t length, words[3];
};

/* Bytes that have come from the supervisor and have not been taken yet. */
static uint8_t inbox[FRAME_BYTES + EXIT_HEADER_BYTES + EXIT_MAX_CAPTURE_BYTES];
static size_t inbox_length;

/* Takes a whole frame: 1; 0 if there is none yet; -EPROTO if there will be none. */
static int take_frame(struct heard *heard)
{
	size_t end;

	if (inbox_length < FRAME_BYTES)
		return 0;
	*heard = (struct heard){ .kind = inbox[0],
				 .length = (uint32_t)inbox[4] << 24 | (uint32_t)inbox[5] << 16 |
					   (uint32_t)inbox[6] << 8 | inbox[7] };
	end = FRAME_BYTES + (size_t)heard->length;
	if (end > sizeof(inbox))
		return -EPROTO;
	if (inbox_length < end)
		return 0;
	memcpy(heard->words, inbox + FRAME_BYTES,
	       heard->length < sizeof(heard->words) ? heard->length : sizeof(heard->words));
	inbox_length -= end;
	memmove(inbox, inbox + end, inbox_length);
	return 1;
}

/*
 * Waits for the supervisor's next frame: 1; 0 if it has gone; -errno. Passes signals on meanwhile
 * or, if it must not, returns -EINTR when there is one.
 */
static int hear(int connection, int signal_fd, int passes_on, struct heard *heard)
{
	int rc;

	while ((rc = take_frame(heard)) == 0) {
		struct pollfd fds[] = { { connection, POLLIN, 0 }, { signal_fd, POLLIN, 0 } };
		ssize_t n;

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents) {
			if (!passes_on)
				return -EINTR;
			pass_signals_on(signal_fd, connection);
		}
		n = recv(connection, inbox + inbox_length, sizeof(inbox) - inbox_length,
			 MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return 0;
		inbox_length += (size_t)n;
	}
	return rc;
}

/*
 * Waits until the supervisor's process waits for its start or, with `start`, starts it. Returns its
 * pid, or 0 if the supervisor has gone and nobody knows. ECANCELED: the supervisor says that the
 * start failed. EINTR: one of the signals is pending, and stays so.
 */
static int await_start(int connection, int start, uint64_t ending)
{
	static const uint8_t request[FRAME_BYTES] = { FRAME_START };
	int signal_fd = open_signals(ending);
	struct heard heard;
	int rc;

	if (signal_fd < 0)
		return signal_fd;
	if (start)
		/* if the supervisor has gone, hear() says so */
		send(connection, request, sizeof(request), MSG_NOSIGNAL);
	while ((rc = hear(connection, signal_fd, 0, &heard)) > 0)
		if (heard.kind == (start ? FRAME_STARTED : FRAME_CREATED) ||
		    heard.kind == FRAME_FAILED)
			break;
	close(signal_fd);
	if (rc > 0)
		return heard.kind == FRAME_FAILED ? -ECANCELED : (int)heard.words[0];
	return rc < 0 || start ? rc : -ECHILD;
}

int op_await_start(struct program *p, const struct op *op)
{
	int pid = await_start((int)op->arg[0], op->arg[1] != 0, op->arg[2]);

	return pid < 0 ? pid : set_slot(p, op->out, pid);
}

/* Waits until the supervisor has gone. ECHILD: it did not say how its process ended. */
static int await_exit(int connection, uint64_t signals)
{
	int signal_fd = open_signals(signals);
	int rc, code = -ECHILD;
	struct heard heard;

	if (signal_fd < 0)
		return signal_fd;
	while ((rc = hear(connection, signal_fd, 1, &heard)) > 0)
		if (heard.kind == FRAME_EXITED && heard.length >= EXIT_HEADER_BYTES) {
			int status = (int)heard.words[2];

			code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
	close(signal_fd);
	close(connection); /* no program that is executed later must have it */
	return rc < 0 ? rc : code;
}

int op_await_exit(struct program *p, const struct op *op)
{
	int code = await_exit((int)op->arg[0], op->arg[1]);

	return code < 0 ? code : set_slot(p, op->out, code);
}
