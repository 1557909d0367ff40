/*
 * The tricks by which an image or a neighbour tries to break out, one for each word. It is static,
 * so that it runs in any root file system.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Exchanges two paths until it is killed. */
static int swap(const char *a, const char *b)
{
	puts("on");
	fflush(stdout);
	for (;;)
		if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2) < 0)
			return 1;
}

/* Lists the open fds by asking for each number, without opening any. */
static int fds(void)
{
	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	puts("");
	return 0;
}

static int is_pid(const char *name)
{
	return isdigit((unsigned char)name[0]) && atoi(name) != getpid();
}

/*
 * Tries for two seconds to write to every other process's program, and to read `secret` from its
 * directories.
 */
static int exes(const char *secret)
{
	time_t end = time(NULL) + 3;
	long seen = 0, writable = 0, reached = 0;
	char path[512];

	while (time(NULL) < end) {
		DIR *proc = opendir("/proc");
		struct dirent *entry;

		while ((entry = readdir(proc))) {
			int fd;

			if (!is_pid(entry->d_name) || strcmp(entry->d_name, "1") == 0)
				continue;
			seen++;
			snprintf(path, sizeof(path), "/proc/%s/exe", entry->d_name);
			fd = open(path, O_WRONLY);
			if (fd >= 0) {
				writable++;
				close(fd);
			}
			for (int n = -2; n < 32; n++) {
				const char *kind = n == -2 ? "cwd" : n == -1 ? "root" : "fd";

				if (n < 0)
					snprintf(path, sizeof(path), "/proc/%s/%s/%s",
						 entry->d_name, kind, secret);
				else
					snprintf(path, sizeof(path), "/proc/%s/fd/%d/%s",
						 entry->d_name, n, secret);
				fd = open(path, O_RDONLY);
				if (fd >= 0) {
					reached++;
					close(fd);
				}
			}
		}
		closedir(proc);
	}
	printf("seen %s writable %ld reached %ld\n", seen ? "some" : "none", writable, reached);
	return 0;
}

/*
 * Mounts `fake` over /proc/PID of every process named "lighter" until it is killed; prints a line
 * for each.
 */
static void cover(const char *fake)
{
	char path[64], name[32];
	static char done[1 << 22];

	puts("on");
	fflush(stdout);
	for (;;) {
		DIR *proc = opendir("/proc");
		struct dirent *entry;

		while ((entry = readdir(proc))) {
			FILE *comm;

			if (!is_pid(entry->d_name) || done[atoi(entry->d_name)])
				continue;
			snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
			comm = fopen(path, "r");
			if (!comm)
				continue;
			name[0] = 0;
			if (!fgets(name, sizeof(name), comm))
				name[0] = 0;
			fclose(comm);
			if (strcmp(name, "lighter\n") != 0)
				continue;
			snprintf(path, sizeof(path), "/proc/%.20s", entry->d_name);
			if (mount(fake, path, NULL, MS_BIND, NULL) == 0) {
				done[atoi(entry->d_name)] = 1;
				puts("covered");
				fflush(stdout);
			}
		}
		closedir(proc);
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "swap") == 0)
		return swap(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "fds") == 0)
		return fds();
	if (argc == 3 && strcmp(argv[1], "exes") == 0)
		return exes(argv[2]);
	if (argc == 3 && strcmp(argv[1], "cover") == 0)
		cover(argv[2]);
	return 2;
}
