/* Sources: Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/. */
#include "sources.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "play.h"

#define PATH_BYTES 4096
#define MAX_LEVELS 8 /* of cgroups; limits further up do not count */

/* The controllers in the order of the op's directories, which are "" for one that is not there. */
enum controller { MEMORY, CPU, CPUACCT, CPUSET, BLKIO, HOST };

/* How far up a file is looked for. */
enum reach { OWN, NEAREST, ALL };

/* They stay open: to open them anew takes longer than to read them. */
static const struct {
	enum controller controller;
	enum reach reach;
	const char *name;
} sources[SOURCES] = {
	[HOST_MEMINFO] = { HOST, OWN, "/proc/meminfo" },
	[HOST_SWAPS] = { HOST, OWN, "/proc/swaps" },
	[HOST_DISKSTATS] = { HOST, OWN, "/proc/diskstats" },
	[HOST_ONLINE] = { HOST, OWN, "/sys/devices/system/cpu/online" },
	[MEMORY_CURRENT] = { MEMORY, OWN, "memory.current" },
	[MEMORY_STAT] = { MEMORY, OWN, "memory.stat" },
	[MEMORY_MAX] = { MEMORY, ALL, "memory.max" },
	[SWAP_CURRENT] = { MEMORY, OWN, "memory.swap.current" },
	[SWAP_MAX] = { MEMORY, ALL, "memory.swap.max" },
	[MEMORY_USAGE_V1] = { MEMORY, OWN, "memory.usage_in_bytes" },
	[KERNEL_MEMORY_V1] = { MEMORY, OWN, "memory.kmem.usage_in_bytes" },
	[PIDS_CURRENT] = { MEMORY, OWN, "pids.current" }, /* on v2; see count_processes */
	[CPU_PROCS] = { CPU, OWN, "cgroup.procs" },
	[CPU_MAX] = { CPU, ALL, "cpu.max" },
	[CPU_QUOTA_V1] = { CPU, OWN, "cpu.cfs_quota_us" },
	[CPU_PERIOD_V1] = { CPU, OWN, "cpu.cfs_period_us" },
	[CPU_STAT] = { CPUACCT, OWN, "cpu.stat" },
	[CPUACCT_STAT_V1] = { CPUACCT, OWN, "cpuacct.stat" },
	[CPUSET_CPUS] = { CPUSET, NEAREST, "cpuset.cpus.effective" },
	[CPUSET_CPUS_V1] = { CPUSET, NEAREST, "cpuset.effective_cpus" },
	[IO_STAT] = { BLKIO, OWN, "io.stat" },
	[IO_BYTES_V1] = { BLKIO, OWN, "blkio.throttle.io_service_bytes_recursive" },
	[IO_COUNTS_V1] = { BLKIO, OWN, "blkio.throttle.io_serviced_recursive" },
};

/* The fds of a source, the cgroup's own first. */
static struct {
	int opened, count, fds[MAX_LEVELS];
} files[SOURCES];

static const char *directories[HOST];

void sources_begin(const struct program *p, const struct op *op)
{
	for (int i = 0; i < HOST; i++)
		directories[i] = text(p, op, i + 1);
}

/* Opens the file of each cgroup from the container's own up to where the hierarchy is mounted. */
static void open_levels(enum source source)
{
	char directory[PATH_BYTES], path[PATH_BYTES + 64], *slash;
	int levels = sources[source].reach == OWN ? 1 : MAX_LEVELS;
	int wanted = sources[source].reach == ALL ? MAX_LEVELS : 1;

	snprintf(directory, sizeof(directory), "%s", directories[sources[source].controller]);
	while ((slash = strrchr(directory, '/')) != NULL && levels-- > 0) {
		int *fd = &files[source].fds[files[source].count];

		snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
		if (access(path, F_OK) < 0)
			return;
		snprintf(path, sizeof(path), "%s/%s", directory, sources[source].name);
		*fd = open(path, O_RDONLY | O_CLOEXEC);
		if (*fd >= 0 && ++files[source].count == wanted)
			return;
		*slash = 0;
	}
}

/* How many fds a source has. */
static int open_source(enum source source)
{
	if (!files[source].opened && sources[source].controller == HOST) {
		files[source].fds[0] = open(sources[source].name, O_RDONLY | O_CLOEXEC);
		files[source].count = files[source].fds[0] >= 0;
	} else if (!files[source].opened) {
		open_levels(source);
	}
	files[source].opened = 1;
	return files[source].count;
}

static ssize_t read_text(int fd, char *into, size_t room)
{
	size_t length = 0;
	ssize_t n = 0;

	while (length < room - 1 &&
	       (n = pread(fd, into + length, room - 1 - length, (off_t)length)) > 0)
		length += (size_t)n;
	into[length] = 0;
	return n < 0 ? -1 : (ssize_t)length;
}

ssize_t read_source(enum source source, char *into, size_t room)
{
	*into = 0;
	return open_source(source) > 0 ? read_text(files[source].fds[0], into, room) : -1;
}

uint64_t number_of(enum source source, uint64_t missing)
{
	char text[64];

	return read_source(source, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : missing;
}

void for_each_level(enum source source, void (*each)(const char *text, uint64_t *least),
		    uint64_t *least)
{
	char text[64];

	for (int level = 0; level < open_source(source); level++)
		if (read_text(files[source].fds[level], text, sizeof(text)) > 0)
			each(text, least);
}

static void take_least(const char *text, uint64_t *smallest)
{
	if (*text != 'm')
		*smallest = least(*smallest, strtoull(text, NULL, 10));
}

uint64_t least_of(enum source source)
{
	uint64_t smallest = NO_LIMIT;

	for_each_level(source, take_least, &smallest);
	return smallest;
}

const char *line_of(const char *text, const char *word)
{
	size_t length = strlen(word);

	for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
		if (strncmp(line, word, length) == 0 &&
		    (line[length] == ' ' || line[length] == ':'))
			return line + length + 1;
	return NULL;
}

uint64_t value_of(const char *text, const char *key, uint64_t missing)
{
	const char *value = line_of(text, key);

	return value ? strtoull(value, NULL, 10) : missing;
}
