/* Messages with fds, between the launcher and its child and on other connections. */
#ifndef LIGHTER_SYNC_H
#define LIGHTER_SYNC_H
#include "launcher.h"

/*
 * The child's messages to the launcher over the sync socket. TOKEN goes the other way as well,
 * RELEASED only that way.
 */
enum record_type { RECORD_TOKEN, RECORD_FAILED, RECORD_EXECUTING, RECORD_RELEASED };
struct record {
	uint32_t type, op_index, error;
};

/* Sends all of the bytes, with a copy of passed_fd unless that is negative. Returns 0 or -errno. */
int send_with_fd(int fd, const void *bytes, size_t length, int passed_fd);

/*
 * Receives a message. Returns its length, 0 at the end, or -errno. *passed_fd becomes the fd that
 * came with it, or -1.
 */
ssize_t receive_with_fd(int fd, void *bytes, size_t length, int *passed_fd, int flags);

int sync_send(int fd, uint32_t type, uint32_t op_index, int error, int passed_fd);
ssize_t sync_receive(int fd, struct record *record, int *passed_fd, int flags);

#endif
