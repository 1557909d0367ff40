/* Starts a program: vfork(2), fds, execve(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "host.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

/*
 * Sets up the child's fds. None is closed before all have been taken out of the way of the new
 * numbers.
 */
static bool arrange(const int *fds, size_t count)
{
	int copies[64];

	for (size_t i = 0; i < count; i++)
		if ((copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, (int)count)) < 0)
			return false;
	for (size_t i = 0; i < count; i++)
		if (dup2(copies[i], (int)i) < 0)
			return false;
	/* without it (Linux 5.8): ours are all close-on-exec */
	syscall(SYS_close_range, (unsigned)count, ~0u, CLOSE_RANGE_CLOEXEC);
	return true;
}

/* Returns the pid, or a negative errno: also that of a failed execve(2). */
int spawn(const struct spawn *child)
{
	volatile int error = 0; /* the child shares our memory until it executes */
	sigset_t all, none, before;
	pid_t pid;

	if (child->fd_count > 64)
		return -E2BIG;
	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &all, &before); /* no handler of ours may run in the child */
	pid = vfork();
	if (pid == 0) {
		struct sigaction standard = {.sa_handler = SIG_DFL};

		for (int number = 1; number < 32; number++) {
			struct sigaction present;

			/* what we ignore or handle: SIGPIPE, and what gives a terminal back */
			if (sigaction(number, NULL, &present) == 0 &&
			    (number == SIGPIPE || present.sa_handler > SIG_IGN))
				sigaction(number, &standard, NULL);
		}
		if (!(child->new_session && setsid() < 0) && arrange(child->fds, child->fd_count) &&
		    !(child->directory && chdir(child->directory) < 0)) {
			sigprocmask(SIG_SETMASK, &none, NULL);
			execve(child->path, child->argv, child->envp);
		}
		error = errno;
		_exit(127);
	}
	if (pid < 0)
		error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		return pid;
	if (pid > 0)
		while (syscall(SYS_wait4, pid, NULL, 0, NULL) < 0 && errno == EINTR)
			;
	return -error;
}
