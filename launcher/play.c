/*
 * Plays the ops of a program that has passed the checks, up to the first that fails. Ops on system
 * calls and slots are here; those on the new process are in child.c and forward.c, on files in
 * files.c and copy.c, on networks in netlink.c, on what a container leaves in cgroup.c, and on an
 * existing container in container.c.
 */
#include "play.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "players.h"
#include "trace.h"

#ifndef KERNEL /* tests/fuzz.c answers instead */
#define KERNEL(nr, arg) syscall(nr, (arg)[0], (arg)[1], (arg)[2], (arg)[3], (arg)[4], (arg)[5])
#endif

struct stage stage = { .sync_fd = -1 };

int set_slot(struct program *p, uint64_t slot, int value)
{
	if (slot != NO_SLOT)
		p->slots[slot] = value;
	return 0;
}

int argument(const struct program *p, const struct op *op, int k, uint64_t *value)
{
	switch (op->arg_kind[k]) {
	case ARG_SLOT:
		if (p->slots[op->arg[k]] < 0)
			return -EBADF;
		*value = (uint64_t)p->slots[op->arg[k]];
		return 0;
	case ARG_BLOB:
		*value = (uint64_t)(uintptr_t)(p->blob + op->arg[k]);
		return 0;
	default:
		*value = op->arg[k];
		return 0;
	}
}

const char *text(const struct program *p, const struct op *op, int k)
{
	return (const char *)p->blob + op->arg[k];
}

int op_call(struct program *p, const struct op *op)
{
	uint64_t arg[6] = { 0 };
	unsigned tries = 0;
	long result;

	for (int k = 0; k < 6; k++) {
		int rc = argument(p, op, k, &arg[k]);

		if (rc < 0)
			return rc;
	}
	do
		result = KERNEL(call_numbers[op->call], arg);
	while (result < 0 && call_numbers[op->call] == __NR_openat2 && renamed_meanwhile(&tries));
	if (result < 0)
		return -errno;
	if (call_numbers[op->call] == __NR_close && op->arg_kind[0] == ARG_SLOT)
		p->slots[op->arg[0]] = -1;
	return set_slot(p, op->out, (int)result);
}

/* arg = { fd of fuse(4), directories }: see view.c */
int op_serve_view(struct program *p, const struct op *op)
{
	(void)p;
	stage.view = op;
	return 0;
}

int op_store(struct program *p, const struct op *op)
{
	int value = p->slots[op->arg[0]];

	if (value < 0)
		return -EBADF;
	memcpy(p->blob + op->arg[1], &value, sizeof(value));
	return 0;
}

int op_pipe(struct program *p, const struct op *op)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	set_slot(p, op->arg[0], fds[0]);
	return set_slot(p, op->arg[1], fds[1]);
}

static int is_set(const struct program *p, uint16_t slot)
{
	return p->slots[slot] >= 0;
}

static int play_op(struct program *p, const struct op *op)
{
	int rc;

	/*
	 * The op was skipped, or failed in a tolerated way: its slot is unset, whatever an earlier
	 * op had put there.
	 */
	set_slot(p, op->out, -1);
	if ((op->guard != NO_SLOT && !is_set(p, op->guard)) ||
	    (op->unless != NO_SLOT && is_set(p, op->unless)))
		return 0;
	rc = op_players[op->kind](p, op);
	for (int i = 0; rc < 0 && i < (int)MAX_TOLERATED; i++)
		if (op->tolerate[i] != 0 && op->tolerate[i] == -rc)
			rc = 0;
	return rc;
}

void play_cleanup(struct program *p)
{
	const struct op *op;

	for (uint32_t i = 0; (op = cleanup_op(p, i)) != NULL; i++)
		play_op(p, op);
}

int play(struct program *p, uint32_t first, uint32_t count, uint32_t *failed)
{
	for (uint32_t i = first; i < first + count; i++) {
		int rc;

		trace_op(i, OP_BEGINS);
#ifdef LAUNCHER_FAULTS
		if (i == p->header.fail_index)
			rc = -(int)p->header.fail_errno;
		else
#endif
			rc = play_op(p, &p->ops[i]);
		trace_op(i, OP_ENDS);
		if (rc < 0) {
			*failed = i;
			return rc;
		}
	}
	return 0;
}
