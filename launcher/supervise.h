/* The launcher's part after the program has been played. */
#ifndef LIGHTER_SUPERVISE_H
#define LIGHTER_SUPERVISE_H
#include "launcher.h"

void supervise(struct program *p, pid_t init, int sync) __attribute__((noreturn));
void fail(struct program *p, pid_t init, struct failure failure) __attribute__((noreturn));

#endif
