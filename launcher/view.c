/* The files of view.h, and what their texts are written with. */
#include "view.h"

#include <stdarg.h>
#include <stdio.h>

#include "sources.h"
#include "texts.h"

static const struct {
	const char *name;
	void (*write)(struct out *out);
} files[VIEW_FILES] = {
	{ "cpuinfo", put_cpuinfo }, { "diskstats", put_diskstats }, { "loadavg", put_loadavg },
	{ "meminfo", put_meminfo }, { "online", put_online },	    { "stat", put_stat },
	{ "swaps", put_swaps },
};

void put(struct out *out, const char *format, ...)
{
	size_t room = out->room - out->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(out->bytes + out->length, room, format, arguments);
	va_end(arguments);
	if (length > 0 && (size_t)length < room)
		out->length += (size_t)length;
}

void view_begin(const struct program *p, const struct op *op)
{
	sources_begin(p, op);
	load_begin();
}

const char *view_name(unsigned file)
{
	return files[file].name;
}

size_t view_text(unsigned file, char *into, size_t room)
{
	struct out out = { into, 0, room };

	files[file].write(&out);
	return out.length;
}
