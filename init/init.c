/*
 * The init of `--init`: `docker-init -- COMMAND [ARG…]`. Runs the command as its child, passes
 * signals on to it, reaps orphans, and ends as the command ends. For programs that were not made to
 * be process 1.
 *
 * `docker-init --pause` has no command: it is the process that keeps the namespaces of a pod, reaps
 * what others leave in its PID namespace, and ends when it is told to.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The exit codes of env(1) and the shell, which `docker run` passes on. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127

/* Signals that are not passed on: our own faults, and terminal access from the background. */
static const int kept[] = { SIGFPE,  SIGILL, SIGSEGV, SIGBUS, SIGABRT,
			    SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU };

/*
 * Blocks exactly the signals of the mask, whose bit 0 is signal 1: libc's own calls leave out some
 * that it keeps for itself.
 */
static void block_signals(uint64_t mask, uint64_t *before)
{
	syscall(__NR_rt_sigprocmask, SIG_SETMASK, &mask, before, sizeof(mask));
}

/*
 * Executes a file. One that is executable but no program is a script for the shell. `command[-1]`
 * may be overwritten.
 */
static void execute_file(const char *path, char **command)
{
	execv(path, command);
	if (errno != ENOEXEC)
		return;
	command[0] = (char *)(uintptr_t)path;
	command[-1] = "/bin/sh";
	execv(command[-1], command - 1);
}

/* Does what glibc's execvp(3) does; musl's does not run scripts without "#!". */
static void execute(char **command)
{
	const char *name = command[0], *directory = getenv("PATH"), *end;
	char path[PATH_MAX];
	int error = ENOENT;

	if (!*name || strchr(name, '/')) {
		execute_file(name, command);
		return;
	}
	for (directory = directory ? directory : "/bin:/usr/bin"; directory;
	     directory = *end ? end + 1 : NULL) {
		int length;

		end = strchrnul(directory, ':');
		length = (int)(end - directory);
		if (snprintf(path, sizeof(path), "%.*s%s%s", length, directory, length ? "/" : "",
			     name) >= (int)sizeof(path))
			continue;
		execute_file(path, command);
		if (errno == EACCES)
			error = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return;
	}
	errno = error;
}

static void run(char **command, uint64_t blocked)
{
	const char *name = command[0];

	/*
	 * The command gets a process group of its own, in the foreground: Ctrl-C reaches only it
	 * and its children.
	 */
	setpgid(0, 0);
	tcsetpgrp(STDIN_FILENO, getpid()); /* this fails without a terminal, which is fine */
	signal(SIGTTIN, SIG_DFL);
	signal(SIGTTOU, SIG_DFL);
	block_signals(blocked, NULL);
	execute(command);
	fprintf(stderr, "[lighter-init] exec %s failed: %s\n", name, strerror(errno));
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

static int pause_until_told(void)
{
	sigset_t ends;
	int number;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
	while (sigwait(&ends, &number) != 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t waited = ~(uint64_t)0, before;
	pid_t child;

	if (argc == 2 && strcmp(argv[1], "--pause") == 0)
		return pause_until_told();
	if (argc > 1 && strcmp(argv[1], "--") == 0)
		argv++;
	if (!argv[1]) {
		fprintf(stderr, "usage: docker-init -- COMMAND [ARG...]\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		waited &= ~((uint64_t)1 << (kept[i] - 1));
	block_signals(waited, &before);
	signal(SIGTTIN, SIG_IGN); /* tcsetpgrp(3) from the background must not stop us */
	signal(SIGTTOU, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	child = fork();
	if (child < 0) {
		fprintf(stderr, "[lighter-init] fork failed: %s\n", strerror(errno));
		return 1;
	}
	if (child == 0)
		run(argv + 1, before);
	for (;;) {
		int status, number = (int)syscall(__NR_rt_sigtimedwait, &waited, NULL, NULL,
						  sizeof(waited));
		pid_t pid;

		if (number > 0 && number != SIGCHLD)
			kill(child, number);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == child)
				return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
							     WEXITSTATUS(status);
	}
}
