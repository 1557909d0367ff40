/*
 * Serves the files of view.h by the protocol of fuse(4), from the supervisor's loop. It never
 * waits: a request is answered as soon as it is read. When the supervisor ends, the kernel ends the
 * connection, and who reads gets an error.
 */
#ifndef LIGHTER_FUSE_H
#define LIGHTER_FUSE_H
#include "launcher.h"

/* Begins to serve, if the program has made a file system. */
void fuse_begin(const struct program *p);

/*
 * The fd to poll for requests, or -1. Readers may ask only so often: beyond that it is -1 for a
 * while, and *timeout_ms, which is poll(2)'s, is shortened to that.
 */
int fuse_poll(int *timeout_ms);

/*
 * Ends the connection, and with it every wait for an answer: some even SIGKILL does not end. Must
 * come before a wait for the container's processes.
 */
void fuse_end(void);

/* Answers requests; returns after some, so that the loop's other work has its turn. */
void fuse_serve(void);

#endif
