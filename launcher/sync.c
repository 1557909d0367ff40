/* Messages with fds, between the launcher and its child and on other connections. */
#include "sync.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sends all of the bytes, with a copy of passed_fd unless that is negative. */
int send_with_fd(int fd, const void *bytes, size_t length, int passed_fd)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, length };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (passed_fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -errno;
}

int sync_send(int fd, uint32_t type, uint32_t op_index, int error, int passed_fd)
{
	struct record record = { type, op_index, (uint32_t)error };

	/*
	 * The child may be under its filter by now, which certainly allows write(2). It raises no
	 * SIGPIPE when nobody reads any more: that is for streams, not for SOCK_SEQPACKET.
	 */
	if (passed_fd < 0)
		return write(fd, &record, sizeof(record)) == (ssize_t)sizeof(record) ? 0 : -errno;
	return send_with_fd(fd, &record, sizeof(record), passed_fd);
}

/*
 * Receives a message. Returns its length, 0 at the end, or -errno. *passed_fd becomes the fd that
 * came with it, or -1.
 */
ssize_t receive_with_fd(int fd, void *bytes, size_t length, int *passed_fd, int flags)
{
	struct iovec iov = { bytes, length };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t received;
	struct cmsghdr *header;

	*passed_fd = -1;
	/*
	 * ECONNRESET: the other side died before it read everything of ours; what it had sent comes
	 * next
	 */
	do {
		received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | flags);
	} while (received < 0 && (errno == EINTR || errno == ECONNRESET));
	if (received < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(passed_fd, CMSG_DATA(header), sizeof(int));
	return received;
}

ssize_t sync_receive(int fd, struct record *record, int *passed_fd, int flags)
{
	return receive_with_fd(fd, record, sizeof(*record), passed_fd, flags);
}
