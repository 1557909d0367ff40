/*
 * Requests over netlink(7). When sendto(2) returns, the kernel has done what a message asks, or
 * not, and its answer waits to be received: so nothing here blocks.
 */
#include "play.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES 16384 /* all that the kernel says of a link is some 2 KiB */

/*
 * Reads one datagram of answers and returns the first error, or 0. The index of a link that was
 * asked for goes to *link.
 */
static int read_answers(const uint8_t *bytes, size_t length, int *link)
{
	struct nlmsghdr header;
	struct ifinfomsg info;
	int error;

	for (size_t at = 0; at < length; at += NLMSG_ALIGN(header.nlmsg_len)) {
		if (length - at < sizeof(header))
			return -EPROTO;
		memcpy(&header, bytes + at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > length - at)
			return -EPROTO;
		if (header.nlmsg_type == NLMSG_ERROR &&
		    header.nlmsg_len >= sizeof(header) + sizeof(error)) {
			memcpy(&error, bytes + at + sizeof(header), sizeof(error));
			if (error)
				return error < 0 && error > -4096 ? error : -EPROTO;
		} else if (header.nlmsg_type == RTM_NEWLINK &&
			   header.nlmsg_len >= sizeof(header) + sizeof(info)) {
			memcpy(&info, bytes + at + sizeof(header), sizeof(info));
			*link = info.ifi_index;
		}
	}
	return 0;
}

/*
 * Sends all of the messages in one datagram, from a socket of the current network namespace. A
 * container's root may be in there too, and send what looks like answers: a connected socket gets
 * only the kernel's, and what came before it was connected is ignored.
 */
static int netlink_request(int protocol, const void *messages, size_t length, int *link)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct sockaddr_nl sender;
	socklen_t sender_length = sizeof(sender);
	uint8_t answer[ANSWER_BYTES];
	ssize_t received;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
	    send(fd, messages, length, 0) < 0)
		rc = -errno;
	while (rc == 0 && (received = recvfrom(fd, answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC,
					       (struct sockaddr *)&sender, &sender_length)) >= 0)
		if (sender.nl_pid == kernel.nl_pid)
			rc = (size_t)received <= sizeof(answer) ?
				     read_answers(answer, (size_t)received, link) :
				     -EMSGSIZE;
	if (rc == 0 && errno != EAGAIN)
		rc = -errno;
	close(fd);
	return rc;
}

/* arg = { protocol, messages, length } */
int op_netlink(struct program *p, const struct op *op)
{
	int link = 0;
	int rc = netlink_request((int)op->arg[0], p->blob + op->arg[1], op->arg[2], &link);

	return rc < 0 ? rc : set_slot(p, op->out, link);
}
