/* What others do with files as the ops on files do it. */
#ifndef LIGHTER_FILES_H
#define LIGHTER_FILES_H
#include "play.h"

/*
 * Why openat2(2) has just failed: with RESOLVE_IN_ROOT it follows ".." only if nothing was renamed
 * or mounted meanwhile, anywhere on the machine, and wants another try. 0 after many: whoever
 * renames on purpose must not keep us here. *tries begins with 0.
 */
int renamed_meanwhile(unsigned *tries);

/* open(path, O_WRONLY) under `dir`, one write(2) of all of the data, close. 0 or -errno. */
int write_once(int dir, const char *path, const void *data, size_t length);

/* PREFIX value SUFFIX; value is not negative. 0 or -errno. */
int numbered_path(char *path, size_t room, const char *prefix, int value, const char *suffix);

/* For `capture`: bytes read into `into`; 0 if the file cannot be read. */
int capture_file(const struct program *p, const struct op *op, uint8_t *into, size_t room);

#endif
