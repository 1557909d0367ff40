/*
 * Passes on an fd that the child cannot report by system calls, because a filter already decides
 * over those: its number goes through a page that child and launcher share, and the answer comes
 * back there.
 */
#include "child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files.h"

enum { OFFERED, ANSWERED, LETTERBOX_WORDS }; /* fd + 1; errno + 1 */
static uint32_t *letterbox;

#ifndef SPIN /* tests/fuzz.c answers */
#define SPIN(word) __asm__ volatile("" ::: "memory")
#endif

int make_letterbox(const struct program *p)
{
	const struct op *init = p->ops + p->header.host_count;
	uint32_t i = 0;

	while (i < p->header.init_count && init[i].kind != OP_OFFER_FD)
		i++;
	if (i == p->header.init_count || letterbox)
		return 0;
	letterbox = mmap(NULL, LETTERBOX_WORDS * sizeof(*letterbox), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (letterbox != MAP_FAILED)
		return 0;
	letterbox = NULL;
	return -errno;
}

/*
 * arg = { fd }. Offers it to the forwarder and waits until that has it. No system call may be made
 * here.
 */
int op_offer_fd(struct program *p, const struct op *op)
{
	int fd = p->slots[op->arg[0]];
	uint32_t answer;

	if (!stage.in_child || !letterbox || fd < 0)
		return -EBADF;
	__atomic_store_n(&letterbox[OFFERED], (uint32_t)fd + 1, __ATOMIC_RELEASE);
	while ((answer = __atomic_load_n(&letterbox[ANSWERED], __ATOMIC_ACQUIRE)) == 0)
		SPIN(letterbox[ANSWERED]);
	return -(int)(answer - 1);
}

/* Sends the text of op_forward_fd over `socket`, with `passed`. */
static int send_state(const struct program *p, const struct op *op, int socket, int passed)
{
	char pid[16];
	struct iovec iov[5] = { { .iov_base = (void *)(uintptr_t)text(p, op, 2) },
				{ .iov_base = pid },
				{ .iov_base = (void *)(uintptr_t)text(p, op, 3) },
				{ .iov_base = pid },
				{ .iov_base = (void *)(uintptr_t)text(p, op, 4) } };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	size_t parts = *text(p, op, 4) ? 5 : 3; /* two pids, or one */
	struct msghdr message = { .msg_iov = iov,
				  .msg_iovlen = parts,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t total = 0, sent;
	int rc = numbered_path(pid, sizeof(pid), "", p->slots[op->arg[0]], "");

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < parts; i++) {
		iov[i].iov_len = strlen(iov[i].iov_base);
		total += (ssize_t)iov[i].iov_len;
	}
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &passed, sizeof(int));
	/* somebody who does not read keeps no container waiting */
	sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sent < 0 ? -errno : sent == total ? 0 : -EMSGSIZE;
}

/*
 * Runs in a process of its own: waits for the offer as long as the child lives, takes the fd out of
 * the child, and sends it.
 */
static void forward(const struct program *p, const struct op *op, int pidfd)
	__attribute__((noreturn));
static void forward(const struct program *p, const struct op *op, int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
	uint32_t offered = 0;
	int fd, rc;

	while (!offered && poll(&poll_fd, 1, 1) == 0)
		offered = __atomic_load_n(&letterbox[OFFERED], __ATOMIC_ACQUIRE);
	if (!offered)
		_exit(0);
	fd = (int)syscall(__NR_pidfd_getfd, pidfd, offered - 1, 0);
	rc = fd < 0 ? -errno : send_state(p, op, p->slots[op->arg[1]], fd);
	__atomic_store_n(&letterbox[ANSWERED], (uint32_t)(1 - rc), __ATOMIC_RELEASE);
	_exit(0);
}

/*
 * arg = { pid, socket, text, text, text }. Starts the process that sends what the child will offer,
 * as TEXT pid TEXT [pid TEXT], over the socket.
 */
int op_forward_fd(struct program *p, const struct op *op)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	int pidfd;
	long pid;

	if (stage.in_child || !letterbox || p->slots[op->arg[0]] < 0 || p->slots[op->arg[1]] < 0)
		return -EBADF;
	pidfd = (int)syscall(__NR_pidfd_open, p->slots[op->arg[0]], 0);
	if (pidfd < 0)
		return -errno;
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid == 0)
		forward(p, op, pidfd);
	close(pidfd);
	return pid < 0 ? -errno : 0;
}
