/*
 * The trace: a file of two numbers for each op of host and init, when it began and when it ended,
 * in nanoseconds of the real time (that of other clocks differs between time namespaces). 0 is
 * never. Launcher and child write to one mapping of it.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int trace_begin(const struct program *p)
{
	const char *path = program_string(p, p->header.trace_path);
	size_t count = (size_t)p->header.host_count + p->header.init_count;
	size_t bytes = count * 2 * sizeof(uint64_t);
	void *times = MAP_FAILED;
	int fd, rc = 0;

	if (path == NULL || bytes == 0)
		return 0;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) == 0)
		times = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (times == MAP_FAILED)
		rc = -errno;
	else
		stage.times = times;
	close(fd);
	return rc;
}

void trace_op(uint32_t op_index, enum trace_point point)
{
	struct timespec now;
	uint64_t seconds;

	if (stage.times == NULL)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	seconds = (uint64_t)now.tv_sec;
	stage.times[2 * op_index + point] = seconds * 1000000000 + (uint64_t)now.tv_nsec;
}
