/* How a program is played, and what its ops share. */
#ifndef LIGHTER_PLAY_H
#define LIGHTER_PLAY_H
#include "check.h"

/* The state while a program plays, apart from its slots. */
extern struct stage {
	int sync_fd; /* leads to the other side; -1 until the clone */
	pid_t child; /* 0 until the clone; set in the child, too */
	int in_child;
	const struct op *view; /* tells which view the supervisor serves; NULL for none */
	uint64_t *times; /* see trace.c; NULL for no trace */
	int released; /* in the child: the launcher has gone, as it said it would */
	/* filled when a receive in the launcher finds that the child failed */
	struct failure child_failure;
} stage;

/*
 * Plays ops up to the first that fails, whose index goes to *failed. Returns 0, or that op's
 * -errno.
 */
int play(struct program *p, uint32_t first, uint32_t count, uint32_t *failed);

/* Plays the clean-up ops. Goes on after a failure: the engine's own clean-up finds the rest. */
void play_cleanup(struct program *p);

/*
 * The value of an argument as the kernel takes it: an unset slot is EBADF, as a closed fd would be.
 */
int argument(const struct program *p, const struct op *op, int k, uint64_t *value);
const char *text(const struct program *p, const struct op *op, int k);
int set_slot(struct program *p, uint64_t slot, int value); /* returns 0 */

#endif
