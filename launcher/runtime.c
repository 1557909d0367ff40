/*
 * The OCI runtime's `start`, `kill`, `delete` and `state`, as far as they were compiled when their
 * container was created (src/oci/later.ts): plays the program that is kept for the command, which
 * saves starting Bun. Anything unusual, or that fails, is left to `lighter` beside this file, which
 * does the command from its beginning.
 */
#include "play.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define DEFAULT_ROOT "/run/lighter-runtime"
#define PATH_BYTES 4096

extern char **environ;

struct command {
	const char *name, *root, *log, *id, *signal;
};

/*
 * The value of a flag that takes one, `--name VALUE` or `--name=VALUE`; NULL for another argument.
 */
static const char *value_of(const char *name, char **argv, int *at)
{
	size_t length = strlen(name);

	if (strncmp(argv[*at], name, length) != 0)
		return NULL;
	if (argv[*at][length] == '=')
		return argv[*at] + length + 1;
	return argv[*at][length] == 0 && argv[*at + 1] ? argv[++*at] : NULL;
}

static int is_id(const char *text)
{
	return *text != 0 && strcmp(text, ".") != 0 && strcmp(text, "..") != 0 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-") ==
		       strlen(text);
}

/* Reads what callers usually say. Returns 0 for anything else. */
static int parse(struct command *command, char **argv)
{
	const char *format = "text";
	int is_delete, at = 1;

	for (; argv[at] && argv[at][0] == '-'; at++) {
		const char *value;

		if ((value = value_of("--root", argv, &at)) != NULL)
			command->root = value;
		else if ((value = value_of("--log", argv, &at)) != NULL)
			command->log = value;
		else if ((value = value_of("--log-format", argv, &at)) != NULL)
			format = value;
		/* a container in a scope has no programs */
		else if (strcmp(argv[at], "--systemd-cgroup") != 0)
			return 0;
	}
	if (!argv[at] || (strcmp(format, "text") != 0 && strcmp(format, "json") != 0))
		return 0;
	command->name = argv[at++];
	is_delete = strcmp(command->name, "delete") == 0;
	for (; argv[at]; at++) {
		if (is_delete && (strcmp(argv[at], "--force") == 0 || strcmp(argv[at], "-f") == 0))
			/*
			 * this means nothing for a stopped container, and others are not deleted
			 * here
			 */
			continue;
		if (argv[at][0] == '-')
			return 0;
		if (!command->id)
			command->id = argv[at];
		else if (!command->signal && strcmp(command->name, "kill") == 0)
			command->signal = argv[at];
		else
			return 0;
	}
	if (!command->root && geteuid() == 0)
		command->root = DEFAULT_ROOT;
	return command->root && command->id && is_id(command->id) && is_id(command->name);
}

/* The number of a signal, or 0 for a text that `lighter` may know. */
static int signal_number(const char *text)
{
	static const struct {
		const char *name;
		int number;
	} names[] = { { "KILL", SIGKILL }, { "TERM", SIGTERM },	 { "INT", SIGINT },
		      { "HUP", SIGHUP },   { "QUIT", SIGQUIT },	 { "USR1", SIGUSR1 },
		      { "USR2", SIGUSR2 }, { "WINCH", SIGWINCH } };
	char *end;
	long number = strtol(text, &end, 10);

	if (*text >= '1' && *text <= '9' && *end == 0)
		return number <= 64 ? (int)number : 0;
	if (strncmp(text, "SIG", 3) == 0)
		text += 3;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i].name) == 0)
			return names[i].number;
	return 0;
}

/* Returns 0 if everything has been done. */
static int play_command(const struct command *command)
{
	static struct program program;
	char path[PATH_BYTES];
	int number = command->signal ? signal_number(command->signal) : SIGTERM;
	uint32_t failed;
	size_t length;
	uint8_t *bytes;
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s/%s.program", command->root, command->id,
			     command->name) >= sizeof(path) ||
	    number == 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	bytes = read_program(fd, &length);
	close(fd);
	if (!bytes || program_load(&program, bytes, length) < 0 || program.header.init_count > 0)
		return -1;
	/* A log that is asked for must exist, even if it is empty. */
	if (command->log && *command->log &&
	    open(command->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) < 0)
		return -1;
	program.slots[program.header.init_slot] = number;
	return play(&program, 0, program.header.host_count, &failed);
}

/*
 * Executes `lighter`, which is beside this file, whatever its caller's name for that is. Does not
 * look through /proc: others may have mounted something there.
 */
static void run_lighter(char **argv) __attribute__((noreturn));
static void run_lighter(char **argv)
{
	char path[PATH_BYTES + sizeof("lighter")];
	const char *called = (const char *)getauxval(AT_EXECFN), *name = strrchr(called, '/');
	char *slash = realpath(called, path) ? strrchr(path, '/') : NULL;

	if (slash) {
		memcpy(slash + 1, "lighter", sizeof("lighter"));
		/* The name under which it was called: src/oci/version.ts. */
		argv[0] = (char *)(uintptr_t)(strcmp(name ? name + 1 : called, "runc") == 0 ?
						      "runc" :
						      "lighter-runtime");
		execve(path, argv, environ);
	}
	fprintf(stderr, "lighter-runtime: execute \"%s\": %s\n", slash ? path : "lighter",
		strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	struct command command = { 0 };

	signal(SIGPIPE, SIG_IGN); /* init may end while `start` writes to it */
	if (argc > 2 && parse(&command, argv) && play_command(&command) == 0)
		return 0;
	signal(SIGPIPE, SIG_DFL);
	run_lighter(argv);
}
