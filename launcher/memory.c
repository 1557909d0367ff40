/* The texts about memory. */
#include "texts.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sources.h"

/* In bytes. */
struct memory {
	uint64_t total, used, swap_total, swap_used;
	uint64_t anon, file, shmem, mapped, dirty, writeback, unevictable;
	uint64_t active_anon, inactive_anon, active_file, inactive_file;
	uint64_t reclaimable, unreclaimable, stack, page_tables; /* of the kernel, for it */
	int limited, swap_limited;
};

/* The lines of memory.stat. Those of v1 are the ones that count what is below the cgroup, too. */
static const struct {
	size_t at;
	const char *v2, *v1; /* NULL: it has none */
} counts[] = {
	{ offsetof(struct memory, anon), "anon", "total_rss" },
	{ offsetof(struct memory, file), "file", "total_cache" },
	{ offsetof(struct memory, shmem), "shmem", "total_shmem" },
	{ offsetof(struct memory, mapped), "file_mapped", "total_mapped_file" },
	{ offsetof(struct memory, dirty), "file_dirty", "total_dirty" },
	{ offsetof(struct memory, writeback), "file_writeback", "total_writeback" },
	{ offsetof(struct memory, active_anon), "active_anon", "total_active_anon" },
	{ offsetof(struct memory, inactive_anon), "inactive_anon", "total_inactive_anon" },
	{ offsetof(struct memory, active_file), "active_file", "total_active_file" },
	{ offsetof(struct memory, inactive_file), "inactive_file", "total_inactive_file" },
	{ offsetof(struct memory, unevictable), "unevictable", "total_unevictable" },
	{ offsetof(struct memory, reclaimable), "slab_reclaimable", NULL },
	{ offsetof(struct memory, unreclaimable), "slab_unreclaimable", NULL },
	{ offsetof(struct memory, stack), "kernel_stack", NULL },
	{ offsetof(struct memory, page_tables), "pagetables", NULL },
	{ offsetof(struct memory, swap_used), NULL, "total_swap" },
};

static void take_counts(struct memory *memory, const char *stat, int v1)
{
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const char *name = v1 ? counts[i].v1 : counts[i].v2;

		if (name)
			*(uint64_t *)((char *)memory + counts[i].at) = value_of(stat, name, 0);
	}
}

/* Measures the cgroup. `host` is the kernel's own meminfo. */
static struct memory measure(const char *host)
{
	struct memory memory = { .total = value_of(host, "MemTotal", 0) * 1024,
				 .swap_total = value_of(host, "SwapTotal", 0) * 1024 };
	uint64_t limit, swap_limit, used = number_of(MEMORY_CURRENT, NO_LIMIT);
	char stat[INPUT_BYTES];

	if (read_source(MEMORY_STAT, stat, sizeof(stat)) < 0)
		return memory;
	if (used != NO_LIMIT) {
		limit = least_of(MEMORY_MAX);
		swap_limit = least_of(SWAP_MAX);
		take_counts(&memory, stat, 0);
		memory.swap_used = number_of(SWAP_CURRENT, 0);
	} else {
		used = number_of(MEMORY_USAGE_V1, 0);
		limit = value_of(stat, "hierarchical_memory_limit", NO_LIMIT);
		swap_limit = value_of(stat, "hierarchical_memsw_limit", NO_LIMIT);
		if (swap_limit < NO_LIMIT / 2) /* of both together */
			swap_limit = less(swap_limit, limit);
		take_counts(&memory, stat, 1);
		memory.unreclaimable = number_of(KERNEL_MEMORY_V1, 0);
	}
	memory.limited = limit < memory.total;
	memory.total = least(memory.total, limit);
	memory.used = least(used, memory.total);
	memory.swap_limited = swap_limit < memory.swap_total;
	memory.swap_total = least(memory.swap_total, swap_limit);
	memory.swap_used = least(memory.swap_used, memory.swap_total);
	return memory;
}

/* The value for a line of meminfo, in bytes, or NO_LIMIT: the kernel's own stays. */
static uint64_t memory_line(const struct memory *memory, const char *name)
{
	uint64_t unused = memory->total - memory->used;
	uint64_t cached = memory->active_file + memory->inactive_file + memory->reclaimable;
	const struct {
		const char *name;
		uint64_t value;
	} lines[] = {
		{ "MemTotal", memory->total },
		{ "MemFree", unused },
		{ "MemAvailable", least(unused + cached, memory->total) },
		{ "Buffers", 0 },
		{ "Cached", memory->file },
		{ "SwapCached", 0 },
		{ "Active", memory->active_anon + memory->active_file },
		{ "Inactive", memory->inactive_anon + memory->inactive_file },
		{ "Active(anon)", memory->active_anon },
		{ "Inactive(anon)", memory->inactive_anon },
		{ "Active(file)", memory->active_file },
		{ "Inactive(file)", memory->inactive_file },
		{ "Unevictable", memory->unevictable },
		{ "Mlocked", memory->unevictable },
		{ "Zswap", 0 },
		{ "Zswapped", 0 },
		{ "Dirty", memory->dirty },
		{ "Writeback", memory->writeback },
		{ "AnonPages", memory->anon },
		{ "Mapped", memory->mapped },
		{ "Shmem", memory->shmem },
		{ "KReclaimable", memory->reclaimable },
		{ "Slab", memory->reclaimable + memory->unreclaimable },
		{ "SReclaimable", memory->reclaimable },
		{ "SUnreclaim", memory->unreclaimable },
		{ "KernelStack", memory->stack },
		{ "PageTables", memory->page_tables },
		{ "CommitLimit", memory->total + memory->swap_total },
		{ "Committed_AS", memory->used + memory->swap_used },
		{ "AnonHugePages", 0 },
		{ "ShmemHugePages", 0 },
		{ "ShmemPmdMapped", 0 },
		{ "FileHugePages", 0 },
		{ "FilePmdMapped", 0 },
		{ "Percpu", 0 },
	};

	if (strcmp(name, "SwapTotal") == 0 && memory->swap_limited)
		return memory->swap_total;
	if (strcmp(name, "SwapFree") == 0 && memory->swap_limited)
		return memory->swap_total - memory->swap_used;
	for (size_t i = 0; memory->limited && i < sizeof(lines) / sizeof(lines[0]); i++)
		if (strcmp(name, lines[i].name) == 0)
			return lines[i].value;
	return NO_LIMIT;
}

void put_meminfo(struct out *out)
{
	char host[INPUT_BYTES], *rest = host, *line;
	struct memory memory;

	if (read_source(HOST_MEMINFO, host, sizeof(host)) < 0)
		return;
	memory = measure(host);
	while ((line = strsep(&rest, "\n")) != NULL && *line) {
		size_t length = strcspn(line, ":");
		char name[64] = "";
		uint64_t value;

		if (length < sizeof(name) - 1)
			memcpy(name, line, length);
		value = memory_line(&memory, name);
		if (value == NO_LIMIT) {
			put(out, "%s\n", line);
			continue;
		}
		strcat(name, ":");
		put(out, "%-16s%8llu kB\n", name, (unsigned long long)value / 1024);
	}
}

void put_swaps(struct out *out)
{
	char host[INPUT_BYTES];
	struct memory memory;

	if (read_source(HOST_MEMINFO, host, sizeof(host)) < 0)
		return;
	memory = measure(host);
	if (!memory.swap_limited && read_source(HOST_SWAPS, host, sizeof(host)) > 0) {
		put(out, "%s", host);
		return;
	}
	put(out, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	if (memory.swap_total > 0)
		put(out, "%-40s%s\t\t%llu\t\t%llu\t\t0\n", "none", "virtual",
		    (unsigned long long)memory.swap_total / 1024,
		    (unsigned long long)memory.swap_used / 1024);
}
