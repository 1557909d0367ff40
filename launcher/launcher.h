/*
 * Definitions that all parts of the launcher share. Format and frames: src/linux/program/format.ts.
 */
#ifndef LIGHTER_LAUNCHER_H
#define LIGHTER_LAUNCHER_H
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE 1 /* without it, musl lacks getdents64(2) and its struct */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "program.h"

#define FRAME_BYTES 8 /* the head of a frame */

struct program {
	struct program_header header;
	const struct op *ops;
	uint8_t *blob;
	int slots[PROGRAM_MAX_SLOTS]; /* -1: unset */
};

/* The op at which a start failed. */
struct failure {
	uint32_t op_index;
	int error;
};

#endif
