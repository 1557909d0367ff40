/*
 * Receives what a process says of itself by sd_notify(3). Knows no variable: it keeps every line
 * once, in the order in which they came last. When there are too many, it forgets a line that has a
 * later one of the same name, before it forgets the oldest.
 */
#include "notify.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define MESSAGE_BYTES 2048 /* a longer message is dropped */
#define LINE_MAX_BYTES 512 /* a longer line is dropped */
#define LINES_MAX 96 /* they are compared one with another */
#define MESSAGES_AT_ONCE 16 /* then others have their turn */

static uint32_t length_at(const struct notified *notified, uint32_t at)
{
	const char *line = notified->lines + at;
	const char *newline = memchr(line, '\n', notified->length - at);

	return (uint32_t)(newline - line) + 1; /* every line that is kept ends */
}

static void forget(struct notified *notified, uint32_t at)
{
	uint32_t length = length_at(notified, at);

	notified->count--;
	notified->length -= length;
	memmove(notified->lines + at, notified->lines + at + length, notified->length - at);
}

/* The first line from `at` on that begins with these bytes, or the length of all. */
static uint32_t find(const struct notified *notified, uint32_t at, const char *bytes, size_t length)
{
	for (; at < notified->length; at += length_at(notified, at))
		if (length <= notified->length - at &&
		    memcmp(notified->lines + at, bytes, length) == 0)
			break;
	return at;
}

static void make_room(struct notified *notified)
{
	for (uint32_t at = 0, next; at < notified->length; at = next) {
		const char *line = notified->lines + at;
		uint32_t length = length_at(notified, at);
		size_t name = (size_t)((const char *)memchr(line, '=', length) - line) + 1;

		next = at + length;
		if (find(notified, next, line, name) < notified->length) {
			forget(notified, at);
			return;
		}
	}
	forget(notified, 0);
}

/* Keeps "NAME=value\n". */
static void keep_line(struct notified *notified, const char *line, size_t length)
{
	uint32_t same = find(notified, 0, line, length);

	if (same < notified->length)
		forget(notified, same);
	while (notified->count == LINES_MAX || length > sizeof(notified->lines) - notified->length)
		make_room(notified);
	memcpy(notified->lines + notified->length, line, length);
	notified->length += (uint32_t)length;
	notified->count++;
}

/* `message` has room for one more byte. Returns 1 if a line of it is kept. */
static int keep_message(struct notified *notified, char *message, size_t length)
{
	int kept = 0;

	if (message[length - 1] != '\n')
		message[length++] = '\n';
	for (size_t at = 0, end; at < length; at = end) {
		const char *line = message + at;

		end = (size_t)((const char *)memchr(line, '\n', length - at) - message) + 1;
		if (*line == '=' || end - at > LINE_MAX_BYTES || !memchr(line, '=', end - at))
			continue;
		keep_line(notified, line, end - at);
		kept = 1;
	}
	return kept;
}

/* The length of the next message, 0 for one to be dropped, or -errno. */
static ssize_t receive(int fd, char *message, pid_t pid)
{
	struct iovec iov = { message, MESSAGE_BYTES };
	/* There is no room for fds: the kernel closes those that are sent. */
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *first = CMSG_FIRSTHDR(&header);
	struct ucred sender = { 0 };

	if (n < 0)
		return -errno;
	if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_CREDENTIALS)
		memcpy(&sender, CMSG_DATA(first), sizeof(sender));
	return sender.pid == pid && !(header.msg_flags & MSG_TRUNC) ? n : 0;
}

int notify_read(struct notified *notified, int fd, pid_t pid)
{
	char message[MESSAGE_BYTES + 1];
	int changed = 0;

	for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
		ssize_t n = receive(fd, message, pid);

		if (n == -EAGAIN)
			break;
		if (n > 0)
			changed |= keep_message(notified, message, (size_t)n);
	}
	return changed;
}
