/* The new process, as its launcher sees it. */
#ifndef LIGHTER_CHILD_H
#define LIGHTER_CHILD_H
#include "play.h"

/*
 * Exactly those of the mask, bit 0 for signal 1. libc's own call leaves out some that it keeps for
 * itself.
 */
void block_signals(uint64_t mask);

/*
 * Before the clone: what `offerFd` needs, if it is among the child's ops (forward.c). 0 or -errno.
 */
int make_letterbox(const struct program *p);

#endif
