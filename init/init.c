/*
 * The init of `--init`: `docker-init -- COMMAND [ARG…]`. Runs the command as its child, passes signals on to it, reaps
 * orphans, and ends as the command ends. For programs that were not made to be process 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit codes of env(1) and the shell, which `docker run` passes on. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127

/* Faults of our own, and terminal access from the background, are not the command's business. */
static const int kept[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU };

static void run(char **command, const sigset_t *before)
{
	/* A process group of its own, in the foreground: Ctrl-C reaches the command and its children only. */
	setpgid(0, 0);
	tcsetpgrp(STDIN_FILENO, getpid()); /* fails without a terminal, which is fine */
	signal(SIGTTIN, SIG_DFL);
	signal(SIGTTOU, SIG_DFL);
	sigprocmask(SIG_SETMASK, before, NULL);
	execvp(command[0], command);
	fprintf(stderr, "[lighter-init] exec %s failed: %s\n", command[0], strerror(errno));
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

int main(int argc, char **argv)
{
	sigset_t waited, before;
	pid_t child;

	if (argc > 1 && strcmp(argv[1], "--") == 0)
		argv++;
	if (!argv[1]) {
		fprintf(stderr, "usage: docker-init -- COMMAND [ARG...]\n");
		return 1;
	}
	sigfillset(&waited);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		sigdelset(&waited, kept[i]);
	sigprocmask(SIG_SETMASK, &waited, &before);
	signal(SIGTTIN, SIG_IGN); /* tcsetpgrp(3) from the background must not stop us */
	signal(SIGTTOU, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	child = fork();
	if (child < 0) {
		fprintf(stderr, "[lighter-init] fork failed: %s\n", strerror(errno));
		return 1;
	}
	if (child == 0)
		run(argv + 1, &before);
	for (;;) {
		int status, number = sigwaitinfo(&waited, NULL);
		pid_t pid;

		if (number > 0 && number != SIGCHLD)
			kill(child, number);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == child)
				return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
}
