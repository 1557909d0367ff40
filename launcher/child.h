/* The new process, as its launcher sees it. */
#ifndef LIGHTER_CHILD_H
#define LIGHTER_CHILD_H
#include "play.h"

/*
 * Blocks exactly the signals of the mask, whose bit 0 is signal 1. libc's own call leaves out some
 * that it keeps for itself.
 */
void block_signals(uint64_t mask);

/*
 * Prepares, before the clone, what `offerFd` needs if it is among the child's ops (forward.c).
 * Returns 0 or -errno.
 */
int make_letterbox(const struct program *p);

#endif
