/*
 * Takes over a program's bytes after checking every size, offset and kind in them: whatever passes
 * can be played without memory errors. The tables in program.h say what an argument must be.
 */
#include "check.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int in_blob(const struct program *p, uint64_t offset, uint64_t size)
{
	return offset <= p->header.blob_bytes && size <= p->header.blob_bytes - offset;
}

static int check_string(const struct program *p, uint32_t offset, int may_be_absent)
{
	if (offset == NO_OFFSET)
		return may_be_absent;
	return in_blob(p, offset, 1); /* the blob's last byte is 0, so every string in it ends */
}

static int check_slot(const struct program *p, uint64_t slot, int may_be_absent)
{
	return slot < p->header.slot_count || (may_be_absent && slot == NO_SLOT);
}

static int check_argument(const struct program *p, const struct op *op, const struct shape *shape,
			  int k)
{
	uint64_t value = op->arg[k], of = shape->of[k];
	uint8_t kind = op->arg_kind[k];
	int length;

	switch (shape->kind[k]) {
	case 'n':
		return kind == ARG_NUMBER;
	case 'v':
		return kind != ARG_BLOB;
	case 's':
		return kind == ARG_SLOT;
	case 'i':
		return kind == ARG_NUMBER && check_slot(p, value, 0);
	case 'c':
		return kind == ARG_NUMBER && value < 32 && (of >> value & 1);
	case 'e':
		return kind == ARG_NUMBER && value == of;
	case 'z':
		if (kind == ARG_NUMBER)
			return value == 0;
		return kind == ARG_BLOB && in_blob(p, value, 1);
	case 't':
		return kind == ARG_BLOB && in_blob(p, value, 1);
	case 'b':
		return kind == ARG_BLOB && in_blob(p, value, of);
	default:
		length = shape->kind[k] - '0';
		return kind == ARG_BLOB && op->arg_kind[length] == ARG_NUMBER &&
		       op->arg[length] <= p->header.blob_bytes &&
		       in_blob(p, value, op->arg[length] * of);
	}
}

static int check_arguments(const struct program *p, const struct op *op, const struct shape *shape)
{
	int count = (int)strlen(shape->kind);

	for (int k = 0; k < count; k++)
		if (!check_argument(p, op, shape, k))
			return 0;
	for (int k = count; k < 6; k++)
		if (op->arg_kind[k] != ARG_NUMBER || op->arg[k] != 0)
			return 0;
	return 1;
}

static int check_op(const struct program *p, const struct op *op)
{
	if (op->kind >= OP_KIND_COUNT || !check_slot(p, op->out, 1) ||
	    !check_slot(p, op->guard, 1) || !check_slot(p, op->unless, 1))
		return 0;
	for (int k = 0; k < 6; k++)
		if (op->arg_kind[k] > ARG_BLOB ||
		    (op->arg_kind[k] == ARG_SLOT && !check_slot(p, op->arg[k], 0)))
			return 0;
	if (op->kind != OP_CALL)
		return check_arguments(p, op, &op_shapes[op->kind]);
	return op->call < CALL_COUNT && check_arguments(p, op, &call_shapes[op->call]);
}

static int check_header(const struct program *p, size_t length)
{
	const struct program_header *h = &p->header;
	uint64_t ops = (uint64_t)h->host_count + h->init_count + h->cleanup_count;

	return h->magic == PROGRAM_MAGIC && h->version == PROGRAM_VERSION &&
	       h->total_bytes == length && ops <= PROGRAM_MAX_OPS &&
	       h->slot_count <= PROGRAM_MAX_SLOTS && h->blob_bytes > 0 && h->blob_bytes <= length &&
	       h->relocation_count <= length / sizeof(struct relocation) &&
	       HEADER_BYTES + ops * OP_BYTES +
			       (uint64_t)h->relocation_count * sizeof(struct relocation) +
			       h->blob_bytes ==
		       length;
}

static int check_supervise(const struct program *p)
{
	const struct program_header *h = &p->header;
	const uint32_t optional[] = { h->stdin_slot, h->stdout_slot, h->stderr_slot,
				      h->notify_slot };

	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		if (!check_slot(p, optional[i], 1))
			return 0;
	return check_slot(p, h->init_slot, 0) && h->hold <= 1 && h->hand_over <= 1 &&
	       h->terminal <= 1 && h->console_fd < 1024 && h->sync_fd >= LISTEN_FD &&
	       h->sync_fd < 1024 && check_string(p, h->log_path, 1) && h->log_max_files >= 1 &&
	       h->log_max_files <= 1000 && h->log_format <= LOG_CRI &&
	       check_string(p, h->exit_path, 0) &&
	       check_string(p, h->socket_path, 0) && check_string(p, h->trace_path, 1) &&
	       check_string(p, h->notified_path, h->notify_slot == NO_SLOT);
}

int program_load(struct program *p, uint8_t *bytes, size_t length)
{
	const struct relocation *relocations;
	uint32_t op_count;

	if (length < HEADER_BYTES || length > PROGRAM_MAX_BYTES)
		return -EPROTO;
	memcpy(&p->header, bytes, HEADER_BYTES);
	if (!check_header(p, length))
		return -EPROTO;
#ifndef LAUNCHER_FAULTS
	if (p->header.fail_index != NO_OFFSET)
		return -EPROTO;
#endif
	op_count = p->header.host_count + p->header.init_count + p->header.cleanup_count;
	p->ops = (const struct op *)(bytes + HEADER_BYTES);
	relocations =
		(const struct relocation *)(bytes + HEADER_BYTES + (size_t)op_count * OP_BYTES);
	p->blob = (uint8_t *)(relocations + p->header.relocation_count);
	for (uint32_t i = 0; i < PROGRAM_MAX_SLOTS; i++)
		p->slots[i] = -1;

	if (p->blob[p->header.blob_bytes - 1] != 0 || !check_supervise(p))
		return -EPROTO;
	for (uint32_t i = 0; i < op_count; i++)
		if (!check_op(p, &p->ops[i]))
			return -EPROTO;
	for (uint32_t i = 0; i < p->header.relocation_count; i++) {
		uint64_t address;

		if (!in_blob(p, relocations[i].where, 8) || !in_blob(p, relocations[i].target, 1))
			return -EPROTO;
		address = (uint64_t)(uintptr_t)(p->blob + relocations[i].target);
		memcpy(p->blob + relocations[i].where, &address, sizeof(address));
	}
	/* A relocation may have overwritten the terminator. */
	return p->blob[p->header.blob_bytes - 1] == 0 ? 0 : -EPROTO;
}

const char *program_string(const struct program *p, uint32_t offset)
{
	return offset == NO_OFFSET ? NULL : (const char *)p->blob + offset;
}

const struct op *cleanup_op(const struct program *p, uint32_t index)
{
	return index < p->header.cleanup_count ?
		       &p->ops[p->header.host_count + p->header.init_count + index] :
		       NULL;
}

uint8_t *read_program(int fd, size_t *length)
{
	struct stat st;
	uint8_t *bytes;
	size_t done = 0;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > (off_t)PROGRAM_MAX_BYTES) {
		errno = EPROTO;
		return NULL;
	}
	*length = (size_t)st.st_size;
	bytes = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return NULL;
	while (done < *length) {
		ssize_t n = pread(fd, bytes + done, *length - done, (off_t)done);

		if (n <= 0) {
			errno = n < 0 ? errno : EPROTO;
			return NULL;
		}
		done += (size_t)n;
	}
	return bytes;
}
