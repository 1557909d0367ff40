/* The text about disks. */
#include "texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sources.h"

/* The counts of one device. */
struct io {
	uint64_t read_bytes, reads, written_bytes, writes, discarded_bytes, discards;
};

/* The number after a word in the same line. */
static uint64_t number_after(const char *line, const char *word)
{
	const char *at = strstr(line, word), *end = strchr(line, '\n');

	return at && (!end || at < end) ? strtoull(at + strlen(word), NULL, 10) : 0;
}

static int io_v2(struct io *io, const char *text, const char *device)
{
	const char *line = line_of(text, device);

	if (!line)
		return 0;
	*io = (struct io){ number_after(line, "rbytes="), number_after(line, "rios="),
			   number_after(line, "wbytes="), number_after(line, "wios="),
			   number_after(line, "dbytes="), number_after(line, "dios=") };
	return 1;
}

/* v1 has a line for each device and kind: "8:0 Read 4096". */
static uint64_t kind_v1(const char *text, const char *device, const char *kind)
{
	char key[64];
	const char *line;

	snprintf(key, sizeof(key), "%s %s", device, kind);
	line = line_of(text, key);
	return line ? strtoull(line, NULL, 10) : 0;
}

static int io_v1(struct io *io, const char *bytes, const char *counts, const char *device)
{
	if (!line_of(bytes, device))
		return 0;
	*io = (struct io){ kind_v1(bytes, device, "Read"),    kind_v1(counts, device, "Read"),
			   kind_v1(bytes, device, "Write"),   kind_v1(counts, device, "Write"),
			   kind_v1(bytes, device, "Discard"), kind_v1(counts, device, "Discard") };
	return 1;
}

/* The devices that the container has used. Only the kernel's own text tells their names. */
void put_diskstats(struct out *out)
{
	static char host[4 * INPUT_BYTES];
	char bytes[INPUT_BYTES], counts[INPUT_BYTES] = "", *rest = host, *line;
	int v2 = read_source(IO_STAT, bytes, sizeof(bytes)) >= 0;

	if (read_source(HOST_DISKSTATS, host, sizeof(host)) < 0)
		return;
	if (!v2 && (read_source(IO_BYTES_V1, bytes, sizeof(bytes)) < 0 ||
		    read_source(IO_COUNTS_V1, counts, sizeof(counts)) < 0))
		return;
	while ((line = strsep(&rest, "\n")) != NULL) {
		unsigned major, minor;
		char name[64], device[32];
		struct io io;

		if (sscanf(line, "%u %u %63s", &major, &minor, name) != 3)
			continue;
		snprintf(device, sizeof(device), "%u:%u", major, minor);
		if (v2 ? !io_v2(&io, bytes, device) : !io_v1(&io, bytes, counts, device))
			continue;
		put(out, "%4u %7u %s %llu 0 %llu 0 %llu 0 %llu 0 0 0 0 %llu 0 %llu 0 0 0\n", major,
		    minor, name, (unsigned long long)io.reads,
		    (unsigned long long)io.read_bytes / 512, (unsigned long long)io.writes,
		    (unsigned long long)io.written_bytes / 512, (unsigned long long)io.discards,
		    (unsigned long long)io.discarded_bytes / 512);
	}
}
