/* Shared by launcher.c (play), supervise.c (supervise) and runtime.c. Format and frames: src/linux/program/format.ts. */
#ifndef LIGHTER_LAUNCHER_H
#define LIGHTER_LAUNCHER_H
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE 1 /* musl has getdents64(2) and its struct with this only */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "program.h"

#define FRAME_BYTES 8 /* of a frame's head */

struct program {
	struct program_header header;
	const struct op *ops;
	uint8_t *blob;
	int slots[PROGRAM_MAX_SLOTS]; /* -1: unset */
};

/* What the child tells the launcher over the sync socket; TOKEN also goes, and RELEASED only goes, the other way. */
enum record_type { RECORD_TOKEN, RECORD_FAILED, RECORD_EXECUTING, RECORD_RELEASED };
struct record {
	uint32_t type, op_index, error;
};

/* Where a start failed. */
struct failure {
	uint32_t op_index;
	int error;
};

/* launcher.c */
uint8_t *read_program(int fd, size_t *length);
int program_load(struct program *p, uint8_t *bytes, size_t length);
int play(struct program *p, uint32_t first, uint32_t count, uint32_t *failed); /* 0, or -errno of the op at *failed */
void play_cleanup(struct program *p);
const struct op *cleanup_op(const struct program *p, uint32_t index);
const char *program_string(const struct program *p, uint32_t offset); /* NULL for NO_OFFSET */
int send_with_fd(int fd, const void *bytes, size_t length, int passed_fd);
int sync_send(int fd, uint32_t type, uint32_t op_index, int error, int passed_fd);
ssize_t receive_with_fd(int fd, void *bytes, size_t length, int *passed_fd, int flags);
ssize_t sync_receive(int fd, struct record *record, int *passed_fd, int flags);
int capture_file(const struct program *p, const struct op *op, uint8_t *into, size_t room);

/* copy.c */
int copy_up(int from, int to, int with_owner);

/* netlink.c */
int netlink_request(int protocol, const void *messages, size_t length, int *link);

/* container.c */
int process_lives(int pid, uint64_t start_time, int ends);
int check_text(const char *path, const void *text, size_t length);
int await_readers_gone(int fd, int timeout_ms);
int write_process(int fd, int pid, const char *const texts[3]);
int await_start(int connection, int start, uint64_t ending); /* the pid, or -errno */
int await_exit(int connection, uint64_t signals); /* the exit code, or -errno */

/* supervise.c */
void supervise(struct program *p, pid_t init, int sync) __attribute__((noreturn));
void fail(struct program *p, pid_t init, struct failure failure) __attribute__((noreturn));

#endif
