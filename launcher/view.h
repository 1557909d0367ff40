/*
 * What a container sees of its own limits, in files that look like the kernel's. Their texts are
 * made when they are read, from the container's cgroup and from the kernel's own files.
 */
#ifndef LIGHTER_VIEW_H
#define LIGHTER_VIEW_H
#include "launcher.h"

#define VIEW_FILES 7

/* Begins: the container's time begins now. The op names its cgroup's directories. */
void view_begin(const struct program *p, const struct op *op);

const char *view_name(unsigned file);

/*
 * Writes the text of a file into `into`, and returns its length. What has no room is left out.
 */
size_t view_text(unsigned file, char *into, size_t room);

#endif
