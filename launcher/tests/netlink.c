/*
 * Gives netlink.c answers from the kernel and from others, without a kernel. Prints which case
 * fails.
 *
 *   cc -o netlink launcher/tests/netlink.c && ./netlink
 */
#include "../launcher.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct answer {
	uint32_t sender; /* 0: the kernel */
	uint16_t type;
	int value; /* error, or the link's index */
};

static const struct answer *next;
static int left;

static ssize_t next_answer(uint8_t *into, struct sockaddr_nl *sender)
{
	struct nlmsghdr header = { .nlmsg_type = next->type };

	if (left == 0) {
		errno = EAGAIN;
		return -1;
	}
	*sender = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = next->sender };
	if (next->type == NLMSG_ERROR) {
		struct nlmsgerr error = { .error = next->value };

		header.nlmsg_len = NLMSG_LENGTH(sizeof(error));
		memcpy(into + NLMSG_HDRLEN, &error, sizeof(error));
	} else {
		struct ifinfomsg info = { .ifi_index = next->value };

		header.nlmsg_len = NLMSG_LENGTH(sizeof(info));
		memcpy(into + NLMSG_HDRLEN, &info, sizeof(info));
	}
	memcpy(into, &header, sizeof(header));
	next++;
	left--;
	return header.nlmsg_len;
}

static int succeed(const void *first, const void *second)
{
	(void)first;
	(void)second;
	return 0;
}

#define socket(domain, type, protocol) (3 + 0 * (protocol))
#define connect(fd, to, size) succeed(to, NULL)
#define send(fd, bytes, length, flags) succeed(bytes, &(length))
#define recvfrom(fd, into, room, flags, from, size) \
	(succeed(size, NULL), next_answer(into, (void *)(from)))
#define close(fd) succeed(NULL, NULL)

#include "../netlink.c"

int set_slot(struct program *p, uint64_t slot, int value)
{
	(void)p;
	(void)slot;
	return value; /* no case asks for this */
}

struct exchange {
	const char *name;
	struct answer answers[2];
	int rc, link;
};

static const struct exchange exchanges[] = {
	{ "the kernel's", { { 0, RTM_NEWLINK, 7 }, { 0, NLMSG_ERROR, 0 } }, 0, 7 },
	{ "the kernel's error",
	  { { 0, NLMSG_ERROR, -EEXIST }, { 0, RTM_NEWLINK, 7 } },
	  -EEXIST,
	  0 },
	{ "another's error before the kernel's link",
	  { { 1, NLMSG_ERROR, -EEXIST }, { 0, RTM_NEWLINK, 7 } },
	  0,
	  7 },
	{ "another's link after the kernel's",
	  { { 0, RTM_NEWLINK, 7 }, { 1, RTM_NEWLINK, 8 } },
	  0,
	  7 },
};

int main(void)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		int link = 0, rc;

		next = exchanges[i].answers;
		left = 2;
		rc = netlink_request(NETLINK_ROUTE, "", 0, &link);
		if (rc == exchanges[i].rc && link == exchanges[i].link)
			continue;
		printf("%s: %d, link %d\n", exchanges[i].name, rc, link);
		failed = 1;
	}
	return failed;
}
