/* A program that has passed the launcher's checks. */
#ifndef LIGHTER_CHECK_H
#define LIGHTER_CHECK_H
#include "launcher.h"

/* Reads a whole file, whose size is the program's. NULL with errno set. */
uint8_t *read_program(int fd, size_t *length);

/*
 * Takes over `bytes` (8-byte aligned, writable). Returns 0, or -EPROTO for anything that is not a
 * complete, correct program.
 */
int program_load(struct program *p, uint8_t *bytes, size_t length);

const char *program_string(const struct program *p, uint32_t offset); /* NULL for NO_OFFSET */
const struct op *cleanup_op(const struct program *p, uint32_t index); /* NULL after the last */

#endif
