/*
 * The launcher: checks the program that it is started with (check.c), plays it (play.c), which
 * clones a child that plays its own part up to execve(2), and then supervises that child
 * (supervise.c). It decides nothing, and parses no text but the kernel's own lists of numbers.
 */
#include "child.h"
#include "supervise.h"
#include "sync.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNAL_COUNT 64

/*
 * Reads the child's own report of its failure, if there is one: it explains what then failed here,
 * such as a message to the child.
 */
static void hear_child(void)
{
	struct record record;
	int passed;

	while (stage.child && !stage.child_failure.error &&
	       sync_receive(stage.sync_fd, &record, &passed, MSG_DONTWAIT) ==
		       (ssize_t)sizeof(record)) {
		if (passed >= 0)
			close(passed);
		if (record.type == RECORD_FAILED)
			stage.child_failure =
				(struct failure){ record.op_index, (int)record.error };
	}
}

/*
 * Makes stdin, stdout and stderr /dev/null, so that no fd of the program is below 3, and sets
 * signals as they are at boot.
 */
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
	/* execve(2) keeps ignored signals ignored */
	for (int number = 1; number <= SIGNAL_COUNT; number++)
		syscall(__NR_rt_sigaction, number, by_default, NULL, sizeof(uint64_t));
	/* the supervisor gets signals by signalfd(2); only SIGKILL ends it */
	block_signals(~(uint64_t)0);
	fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
	umask(0);
	setsid();
	prctl(PR_SET_NAME, "lighter"); /* not the number of the fd it was executed from */
	/*
	 * Until execve, nobody in a namespace that we enter may read our memory or fds through
	 * /proc.
	 */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return chdir("/") < 0 ? -errno : 0;
}

/*
 * Ends a program that makes no process: the result is written to LISTEN_FD, which is a file then.
 */
static void report(struct program *p, struct failure failure) __attribute__((noreturn));
static void report(struct program *p, struct failure failure)
{
	struct record record = { RECORD_FAILED, failure.op_index, (uint32_t)failure.error };

	if (failure.error)
		play_cleanup(p);
	_exit(write(LISTEN_FD, &record, sizeof(record)) == (ssize_t)sizeof(record) ? 0 : 1);
}

/*
 * Goes on in the place of the process that began a container: the same process, with its stdio and
 * environment. It ends with the container's exit code. If anything goes wrong, clean-up executes a
 * program in this process that can report it or do better, unless the exit code is known already.
 * Signals stay blocked: what is begun is finished.
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
			stage.in_child = stage.released = 1; /* nobody is told of an execve(2) */
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
	if (rc == 0)
		rc = trace_begin(&program);
	if (rc < 0) {
		failure.error = -rc;
		memset(&program, 0, sizeof(program));
		fail(&program, 0, failure);
	}
	rc = play(&program, 0, program.header.host_count, &failure.op_index);
	if (program.header.init_count == 0 && !stage.child) {
		failure.error = -rc;
		report(&program, failure);
	}
	if (rc < 0) {
		failure.error = -rc;
		hear_child();
		fail(&program, stage.child,
		     stage.child_failure.error ? stage.child_failure : failure);
	}
	if (stage.child == 0)
		fail(&program, 0, (struct failure){ OP_INDEX_UNKNOWN, EPROTO });
	supervise(&program, stage.child, stage.sync_fd);
}
