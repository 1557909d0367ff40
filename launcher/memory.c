/* The texts about memory. */
#include "texts.h"

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

static void measure_v2(struct memory *memory, const char *stat)
{
	memory->anon = value_of(stat, "anon", 0);
	memory->file = value_of(stat, "file", 0);
	memory->shmem = value_of(stat, "shmem", 0);
	memory->mapped = value_of(stat, "file_mapped", 0);
	memory->dirty = value_of(stat, "file_dirty", 0);
	memory->writeback = value_of(stat, "file_writeback", 0);
	memory->active_anon = value_of(stat, "active_anon", 0);
	memory->inactive_anon = value_of(stat, "inactive_anon", 0);
	memory->active_file = value_of(stat, "active_file", 0);
	memory->inactive_file = value_of(stat, "inactive_file", 0);
	memory->unevictable = value_of(stat, "unevictable", 0);
	memory->reclaimable = value_of(stat, "slab_reclaimable", 0);
	memory->unreclaimable = value_of(stat, "slab_unreclaimable", 0);
	memory->stack = value_of(stat, "kernel_stack", 0);
	memory->page_tables = value_of(stat, "pagetables", 0);
	memory->swap_used = number_of(SWAP_CURRENT, 0);
}

/* The lines that count what is below the cgroup, too. */
static void measure_v1(struct memory *memory, const char *stat)
{
	memory->anon = value_of(stat, "total_rss", 0);
	memory->file = value_of(stat, "total_cache", 0);
	memory->shmem = value_of(stat, "total_shmem", 0);
	memory->mapped = value_of(stat, "total_mapped_file", 0);
	memory->dirty = value_of(stat, "total_dirty", 0);
	memory->writeback = value_of(stat, "total_writeback", 0);
	memory->active_anon = value_of(stat, "total_active_anon", 0);
	memory->inactive_anon = value_of(stat, "total_inactive_anon", 0);
	memory->active_file = value_of(stat, "total_active_file", 0);
	memory->inactive_file = value_of(stat, "total_inactive_file", 0);
	memory->unevictable = value_of(stat, "total_unevictable", 0);
	memory->unreclaimable = number_of(KERNEL_MEMORY_V1, 0);
	memory->swap_used = value_of(stat, "total_swap", 0);
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
		measure_v2(&memory, stat);
	} else {
		used = number_of(MEMORY_USAGE_V1, 0);
		limit = value_of(stat, "hierarchical_memory_limit", NO_LIMIT);
		swap_limit = value_of(stat, "hierarchical_memsw_limit", NO_LIMIT);
		if (swap_limit < NO_LIMIT / 2) /* of both together */
			swap_limit = less(swap_limit, limit);
		measure_v1(&memory, stat);
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
