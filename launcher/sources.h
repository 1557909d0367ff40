/*
 * Files of the kernel from which the texts of view.h are made: a container's cgroup's, and those of
 * the whole machine. A controller may be one of v1 or of v2, whatever the others are.
 */
#ifndef LIGHTER_SOURCES_H
#define LIGHTER_SOURCES_H
#include "launcher.h"

#define INPUT_BYTES 16384 /* enough for each of them, as far as it is read */
#define NO_LIMIT UINT64_MAX

enum source {
	HOST_MEMINFO,
	HOST_SWAPS,
	HOST_DISKSTATS,
	HOST_ONLINE,
	MEMORY_CURRENT,
	MEMORY_STAT,
	MEMORY_MAX,
	SWAP_CURRENT,
	SWAP_MAX,
	MEMORY_USAGE_V1,
	KERNEL_MEMORY_V1,
	PIDS_CURRENT,
	CPU_PROCS,
	CPU_MAX,
	CPU_QUOTA_V1,
	CPU_PERIOD_V1,
	CPU_STAT,
	CPUACCT_STAT_V1,
	CPUSET_CPUS,
	CPUSET_CPUS_V1,
	IO_STAT,
	IO_BYTES_V1,
	IO_COUNTS_V1,
	SOURCES
};

/* Takes over the directories of the cgroup's controllers, from the op's second argument on. */
void sources_begin(const struct program *p, const struct op *op);

/* Reads a file's beginning as a string, the nearest one's. Returns its length, or -1. */
ssize_t read_source(enum source source, char *into, size_t room);

/* The number in a file, or `missing`. */
uint64_t number_of(enum source source, uint64_t missing);

/*
 * Calls `each` with the text of the file of the cgroup and of every cgroup above it that has one:
 * each of them may have set a limit.
 */
void for_each_level(enum source source, void (*each)(const char *text, uint64_t *least),
		    uint64_t *least);

/* The smallest limit of the cgroup and those above it. "max" is none. */
uint64_t least_of(enum source source);

/* The number after "KEY " or "KEY: " at the beginning of a line, or `missing`. */
uint64_t value_of(const char *text, const char *key, uint64_t missing);

/* The rest of the line that begins with a word, or NULL. */
const char *line_of(const char *text, const char *word);

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* a - b, or 0. */
static inline uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

#endif
