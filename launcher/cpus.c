/* The texts about CPUs, the time that was spent on them, and the load. */
#include "texts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sources.h"

#define MAX_CPUS 8192 /* what the kernel can be built for */
#define TICKS_PER_S 100 /* USER_HZ, in which /proc/stat counts */
#define US_PER_TICK (1000000 / TICKS_PER_S)
/*
 * The load's fixed-point numbers and its period, as the kernel has them in
 * include/linux/sched/loadavg.h.
 */
#define LOAD_ONE 2048
#define LOAD_PERIOD_US 5000000
#define LOAD_MAX_PERIODS 4096 /* after which nothing of an older load is left */

static uint64_t began_us; /* on CLOCK_BOOTTIME */

static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void load_begin(void)
{
	began_us = now_us(CLOCK_BOOTTIME);
}

/* The CPUs that the container sees; those of the host that it may not use look switched off. */
struct cpus {
	uint8_t has[MAX_CPUS / 8];
	unsigned count;
};

static int has_cpu(const struct cpus *cpus, unsigned long cpu)
{
	return cpu < MAX_CPUS && (cpus->has[cpu / 8] >> cpu % 8 & 1);
}

/* Adds the first CPUs of a list like "0-3,7", `most` at most. */
static void add_cpus(struct cpus *cpus, const char *list, uint64_t most)
{
	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last && first < MAX_CPUS && cpus->count < most; first++) {
			cpus->has[first / 8] |= (uint8_t)(1 << first % 8);
			cpus->count++;
		}
		list = *end == ',' ? end + 1 : end;
	}
}

/* How many CPUs' time a quota is worth, rounded up. A quota of -1, or 0, is none. */
static uint64_t worth(uint64_t quota, uint64_t period)
{
	if (quota == 0 || quota > INT64_MAX || period == 0)
		return NO_LIMIT;
	return (quota + period - 1) / period;
}

static void take_quota(const char *text, uint64_t *most)
{
	char *end;
	uint64_t quota = strtoull(text, &end, 10);

	if (*text != 'm')
		*most = least(*most, worth(quota, strtoull(end, NULL, 10)));
}

/* v2 has "QUOTA PERIOD" in one file; v1 has two, of which only the container's own count. */
static uint64_t most_cpus(void)
{
	uint64_t most = worth(number_of(CPU_QUOTA_V1, 0), number_of(CPU_PERIOD_V1, 0));

	for_each_level(CPU_MAX, take_quota, &most);
	return most;
}

static struct cpus visible_cpus(void)
{
	struct cpus cpus = { .count = 0 };
	char list[4096];

	if (read_source(CPUSET_CPUS, list, sizeof(list)) <= 1 &&
	    read_source(CPUSET_CPUS_V1, list, sizeof(list)) <= 1)
		read_source(HOST_ONLINE, list, sizeof(list));
	add_cpus(&cpus, list, most_cpus());
	return cpus;
}

void put_online(struct out *out)
{
	struct cpus cpus = visible_cpus();
	const char *separator = "";

	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
		unsigned first = cpu;

		if (!has_cpu(&cpus, cpu))
			continue;
		while (has_cpu(&cpus, cpu + 1))
			cpu++;
		put(out, first == cpu ? "%s%u" : "%s%u-%u", separator, first, cpu);
		separator = ",";
	}
	put(out, "\n");
}

/* Copies the paragraphs of the kernel's text that are about the container's CPUs, or about none. */
void put_cpuinfo(struct out *out)
{
	struct cpus cpus = visible_cpus();
	char input[INPUT_BYTES];
	size_t held = 0;
	int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC), kept = 1;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, input + held, sizeof(input) - 1 - held)) > 0) {
		char *line = input, *end;

		input[held + (size_t)n] = 0;
		for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			*end = 0;
			if (strncmp(line, "processor\t", 10) == 0 && strchr(line, ':'))
				kept = has_cpu(&cpus, strtoul(strchr(line, ':') + 1, NULL, 10));
			if (kept)
				put(out, "%s\n", line);
			if (*line == 0)
				kept = 1;
		}
		held = strlen(line);
		if (held >= sizeof(input) - 1)
			held = 0; /* no such line is that long */
		memmove(input, line, held);
	}
	if (fd >= 0)
		close(fd);
}

/* The container's CPU time, in microseconds. */
struct usage {
	uint64_t user, system;
};

static struct usage measure_usage(void)
{
	struct usage usage = { 0, 0 };
	char text[4096];

	if (read_source(CPU_STAT, text, sizeof(text)) > 0 && strstr(text, "user_usec")) {
		usage.user = value_of(text, "user_usec", 0);
		usage.system = value_of(text, "system_usec", 0);
	} else if (read_source(CPUACCT_STAT_V1, text, sizeof(text)) > 0) {
		usage.user = value_of(text, "user", 0) * US_PER_TICK;
		usage.system = value_of(text, "system", 0) * US_PER_TICK;
	}
	return usage;
}

/* The number of processes, of the cgroup's own hierarchy of CPU time. */
static uint64_t count_processes(void)
{
	char text[INPUT_BYTES];
	uint64_t count = number_of(PIDS_CURRENT, 0);

	if (count > 0 || read_source(CPU_PROCS, text, sizeof(text)) < 0)
		return count;
	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		count++;
	return count;
}

static void put_cpu(struct out *out, const char *name, uint64_t up_us, struct usage usage,
		    unsigned cpus)
{
	uint64_t idle = less(up_us * cpus, usage.user + usage.system);

	put(out, "%s %llu 0 %llu %llu 0 0 0 0 0 0\n", name,
	    (unsigned long long)usage.user / US_PER_TICK,
	    (unsigned long long)usage.system / US_PER_TICK, (unsigned long long)idle / US_PER_TICK);
}

/* v2 does not tell which CPU the time was spent on: each has its share. */
void put_stat(struct out *out)
{
	struct cpus cpus = visible_cpus();
	struct usage usage = measure_usage(), share;
	uint64_t up_us = less(now_us(CLOCK_BOOTTIME), began_us);

	put_cpu(out, "cpu ", up_us, usage, cpus.count);
	share = (struct usage){ usage.user / (cpus.count ? cpus.count : 1),
				usage.system / (cpus.count ? cpus.count : 1) };
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
		char name[16];

		if (!has_cpu(&cpus, cpu))
			continue;
		snprintf(name, sizeof(name), "cpu%u", cpu);
		put_cpu(out, name, up_us, share, 1);
	}
	put(out, "intr 0\nctxt 0\nbtime %llu\nprocesses %llu\nprocs_running 1\nprocs_blocked 0\n",
	    (unsigned long long)(now_us(CLOCK_REALTIME) - up_us) / 1000000,
	    (unsigned long long)count_processes());
	put(out, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
}

/* base^exponent of a fixed-point number below 1. */
static uint64_t fixed_power(uint64_t base, uint64_t exponent)
{
	uint64_t power = LOAD_ONE;

	for (; exponent > 0; exponent >>= 1, base = (base * base + LOAD_ONE / 2) / LOAD_ONE)
		if (exponent & 1)
			power = (power * base + LOAD_ONE / 2) / LOAD_ONE;
	return power;
}

/*
 * The load as the kernel averages it, but of the CPUs that were busy, and with the mean of the time
 * since the last look in the place of samples: nothing runs while nobody looks.
 */
void put_loadavg(struct out *out)
{
	static const uint64_t decay[] = { 1884, 2014, 2037 }; /* e^(-5 s / 1, 5 and 15 min) */
	static uint64_t loads[3], seen_us, seen_usage;
	struct usage usage = measure_usage();
	uint64_t now = less(now_us(CLOCK_BOOTTIME), began_us), processes = count_processes();
	uint64_t periods = (now - seen_us) / LOAD_PERIOD_US;

	if (periods > 0) {
		uint64_t spent = less(usage.user + usage.system, seen_usage);
		uint64_t busy = spent * LOAD_ONE / (now - seen_us);

		for (int i = 0; i < 3; i++) {
			uint64_t kept = fixed_power(decay[i], least(periods, LOAD_MAX_PERIODS));

			loads[i] = (loads[i] * kept + busy * (LOAD_ONE - kept)) / LOAD_ONE;
		}
		seen_us = now;
		seen_usage = usage.user + usage.system;
	}
	for (int i = 0; i < 3; i++)
		put(out, "%llu.%02llu ", (unsigned long long)loads[i] / LOAD_ONE,
		    (unsigned long long)(loads[i] % LOAD_ONE * 100 / LOAD_ONE));
	put(out, "1/%llu %llu\n", (unsigned long long)processes, (unsigned long long)processes);
}
