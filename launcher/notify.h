/* What a process says of itself by sd_notify(3). */
#ifndef LIGHTER_NOTIFY_H
#define LIGHTER_NOTIFY_H
#include "launcher.h"

/* Lines of "NAME=value", in the order in which they came last. */
struct notified {
	uint32_t length, count;
	char lines[NOTIFIED_MAX_BYTES];
};

/*
 * Reads the messages that have come from the process `pid`; those of others are dropped. Returns 1
 * if one has changed what is known.
 */
int notify_read(struct notified *notified, int fd, pid_t pid);

#endif
