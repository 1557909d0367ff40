/* Helpers of the ops on files that other ops use, too. */
#ifndef LIGHTER_FILES_H
#define LIGHTER_FILES_H
#include "play.h"

/*
 * Tells why openat2(2) has just failed. With RESOLVE_IN_ROOT it follows ".." only if nothing was
 * renamed or mounted meanwhile, anywhere on the machine; otherwise it must be called again. Returns
 * 0 after many tries: somebody who renames on purpose must not keep us here. *tries begins with 0.
 */
int renamed_meanwhile(unsigned *tries);

/*
 * Opens a path under `dir` for writing, writes all of the data by one write(2), and closes it.
 * Returns 0 or -errno.
 */
int write_once(int dir, const char *path, const void *data, size_t length);

/* Makes the path PREFIX value SUFFIX; value is not negative. Returns 0 or -errno. */
int numbered_path(char *path, size_t room, const char *prefix, int value, const char *suffix);

/*
 * Reads a file for `capture` and returns how many bytes went into `into`; 0 if it cannot be read.
 */
int capture_file(const struct program *p, const struct op *op, uint8_t *into, size_t room);

#endif
