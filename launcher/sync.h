/* Messages with fds between the launcher and its child, and others who are connected. */
#ifndef LIGHTER_SYNC_H
#define LIGHTER_SYNC_H
#include "launcher.h"

/*
 * What the child tells the launcher over the sync socket; TOKEN also goes, and RELEASED only goes,
 * the other way.
 */
enum record_type { RECORD_TOKEN, RECORD_FAILED, RECORD_EXECUTING, RECORD_RELEASED };
struct record {
	uint32_t type, op_index, error;
};

/* All of the bytes, with a copy of passed_fd unless that is negative. 0 or -errno. */
int send_with_fd(int fd, const void *bytes, size_t length, int passed_fd);

/* Length, 0 at the end, or -errno. A passed fd goes to *passed_fd, else that is -1. */
ssize_t receive_with_fd(int fd, void *bytes, size_t length, int *passed_fd, int flags);

int sync_send(int fd, uint32_t type, uint32_t op_index, int error, int passed_fd);
ssize_t sync_receive(int fd, struct record *record, int *passed_fd, int flags);

#endif
