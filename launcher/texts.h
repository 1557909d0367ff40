/*
 * Writers of the texts of view.h. A limit is the smallest of those of the container's cgroup and of
 * all above it; usage is the cgroup's own. Where there is no limit, the kernel's own numbers are
 * right. Source: Linux Documentation/filesystems/proc.rst.
 */
#ifndef LIGHTER_TEXTS_H
#define LIGHTER_TEXTS_H
#include "launcher.h"

struct out {
	char *bytes;
	size_t length, room;
};

/* Adds to the text. What has no room is left out. */
void put(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The time of the container begins now, for its load and its idle time. */
void load_begin(void);

void put_cpuinfo(struct out *out);
void put_diskstats(struct out *out);
void put_loadavg(struct out *out);
void put_meminfo(struct out *out);
void put_online(struct out *out);
void put_stat(struct out *out);
void put_swaps(struct out *out);

#endif
