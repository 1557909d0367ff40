/*
 * Ops that make the new process, and those that it plays itself. Between clone3(2) and execve(2)
 * nothing is allocated, and only async-signal-safe calls are made.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "sync.h"

#define PATH_BYTES 4096

static const char *tried; /* in the child: the path for which execve(2) has failed */

void block_signals(uint64_t mask)
{
	syscall(__NR_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

/*
 * Reports the failure where the container's caller looks, in runc's words, when there is nobody
 * else to report it to.
 */
static void say_not_executed(int error)
{
	const char *why = error == ENOENT || error == ELIBACC ? "no such file or directory" :
			  error == ENOEXEC		      ? "exec format error" :
			  error == EACCES || error == EPERM   ? "permission denied" :
								"cannot be executed";
	char line[PATH_BYTES + 64];
	int length = snprintf(line, sizeof(line), "exec %.*s: %s\n", PATH_BYTES, tried, why);

	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		return; /* it has no stderr */
}

static void play_init(struct program *p, int sync) __attribute__((noreturn));
static void play_init(struct program *p, int sync)
{
	uint32_t failed = 0;
	int rc;

	stage.in_child = 1;
	stage.sync_fd = dup3(sync, (int)p->header.sync_fd, O_CLOEXEC);
	block_signals(0);
	rc = play(p, p->header.host_count, p->header.init_count, &failed);
	if (stage.released && tried) {
		say_not_executed(-rc);
		_exit(255);
	}
	sync_send(stage.sync_fd, RECORD_FAILED, failed, rc < 0 ? -rc : EPROTO, -1);
	_exit(1);
}

static int adopts(const struct program *p)
{
	for (uint32_t i = 0; i < p->header.host_count; i++)
		if (p->ops[i].kind == OP_ADOPT)
			return 1;
	return 0;
}

/* Sets whether messages on the socket come with their sender's pid. */
static void tell_senders(int fd, int on)
{
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

/* arg = { namespace flags, cgroup v2 directory or -1 } */
int op_clone(struct program *p, const struct op *op)
{
	struct clone_args args = { .flags = op->arg[0], .exit_signal = SIGCHLD };
	int pair[2];
	long pid;

	if (stage.child || stage.in_child)
		return -EPROTO;
	if (op->arg_kind[1] == ARG_SLOT) {
		if (p->slots[op->arg[1]] < 0)
			return -EBADF;
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)p->slots[op->arg[1]];
	}
	if (make_letterbox(p) < 0)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (adopts(p))
		tell_senders(pair[0], 1);
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid == 0)
		play_init(p, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		int error = errno;

		close(pair[0]);
		return -error;
	}
	stage.sync_fd = pair[0];
	stage.child = (pid_t)pid;
	return set_slot(p, op->out, stage.child);
}

int op_send(struct program *p, const struct op *op)
{
	uint64_t fd;
	int rc = argument(p, op, 0, &fd);

	return rc < 0 ? rc : sync_send(stage.sync_fd, RECORD_TOKEN, 0, 0, (int)fd);
}

int op_receive(struct program *p, const struct op *op)
{
	struct record record;
	int fd;
	ssize_t length = sync_receive(stage.sync_fd, &record, &fd, 0);

	if (length == sizeof(record) && record.type == RECORD_RELEASED) {
		stage.released = 1;
		/* the launcher goes when it has read this message */
		sync_send(stage.sync_fd, RECORD_RELEASED, 0, 0, -1);
	}
	if (length == sizeof(record) &&
	    (record.type == RECORD_TOKEN || record.type == RECORD_RELEASED))
		return set_slot(p, op->out, fd);
	if (stage.in_child)
		_exit(1); /* the launcher has gone, and with it whoever wanted this process */
	if (length < 0)
		return (int)length;
	stage.child_failure.op_index = length == 0 ? OP_INDEX_UNKNOWN : record.op_index;
	stage.child_failure.error = length == 0 ? ECHILD : (int)record.error;
	return -ECHILD;
}

/*
 * Runs in the child once it has joined a user namespace and made its own pid namespace, into which
 * only a child of its own is born. That child replaces it, and has the same parent.
 */
int op_rebirth(struct program *p, const struct op *op)
{
	struct clone_args args = { .flags = CLONE_PARENT };
	struct record record;
	int fd;
	long pid;

	(void)p;
	(void)op;
	if (!stage.in_child)
		return -EPROTO;
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid < 0)
		return -errno;
	if (pid > 0)
		_exit(0);
	if (sync_send(stage.sync_fd, RECORD_TOKEN, 0, 0, -1) < 0 ||
	    sync_receive(stage.sync_fd, &record, &fd, 0) != sizeof(record))
		_exit(1); /* the launcher is gone */
	return 0;
}

/*
 * Runs in the launcher: from here on, the child is the child's child. The kernel tells its pid in
 * our own pid namespace.
 */
int op_adopt(struct program *p, const struct op *op)
{
	struct record record;
	struct iovec iov = { &record, sizeof(record) };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	struct ucred sender;
	ssize_t length;

	if (stage.in_child || !stage.child)
		return -EPROTO;
	do {
		length = recvmsg(stage.sync_fd, &message, MSG_CMSG_CLOEXEC);
	} while (length < 0 && (errno == EINTR || errno == ECONNRESET));
	if (length != sizeof(record) || record.type != RECORD_TOKEN) {
		stage.child_failure.op_index =
			length == sizeof(record) ? record.op_index : OP_INDEX_UNKNOWN;
		stage.child_failure.error = length == sizeof(record) ? (int)record.error : ECHILD;
		return -ECHILD;
	}
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_CREDENTIALS)
		return -EPROTO;
	memcpy(&sender, CMSG_DATA(header), sizeof(sender));
	while (waitpid(stage.child, NULL, 0) < 0 && errno == EINTR)
		;
	stage.child = sender.pid;
	set_slot(p, op->out, stage.child);
	/* before the child sends an fd: sync_receive has room for nothing else then */
	tell_senders(stage.sync_fd, 0);
	return sync_send(stage.sync_fd, RECORD_TOKEN, 0, 0, -1);
}

static void end_by(int signal)
{
	(void)signal; /* unused in a test */
	_exit(128 + signal);
}

/*
 * Lets signals end a waiting process. The first process of a pid namespace would not get them, but
 * `kill` must end it as any other.
 */
static void end_by_signals(void)
{
	static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction action;

	for (size_t i = 0; i < sizeof(ending) / sizeof(*ending); i++) {
		if (sigaction(ending[i], NULL, &action) < 0 || action.sa_handler != SIG_DFL)
			continue;
		action.sa_handler = end_by;
		sigaction(ending[i], &action, NULL); /* this lasts until execve(2) */
	}
}

int op_await(struct program *p, const struct op *op)
{
	uint8_t byte;
	ssize_t length;

	(void)p;
	end_by_signals();
	do {
		length = read((int)op->arg[0], &byte, 1);
	} while (length < 0 && errno == EINTR);
	return length < 0 ? -errno : length == 0 ? -ECANCELED : 0;
}

/*
 * Calls `try` with each path of the NULL-terminated vector at `entry`, until one is neither missing
 * nor forbidden.
 */
static int first_path(const struct program *p, const uint8_t *entry,
		      int (*try)(const char *path, void *arg), void *arg)
{
	const uint8_t *end = p->blob + p->header.blob_bytes;
	int error = ENOENT;

	for (; entry + sizeof(uint64_t) <= end; entry += sizeof(uint64_t)) {
		uint64_t path;
		int rc;

		memcpy(&path, entry, sizeof(path));
		if (path == 0)
			break;
		rc = try((const char *)(uintptr_t)path, arg);
		if (rc == -EACCES || rc == -EISDIR)
			error = -rc;
		else if (rc != -ENOENT && rc != -ENOTDIR)
			return rc;
	}
	return -error;
}

/* System calls, not libc: a path may be any number that the program put into the vector. */
static int try_access(const char *path, void *arg)
{
	int directory;

	(void)arg;
	if (syscall(__NR_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return -errno;
	directory = (int)syscall(__NR_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return 0;
	close(directory);
	return -EISDIR;
}

int op_check_executable(struct program *p, const struct op *op)
{
	return first_path(p, p->blob + op->arg[0], try_access, NULL);
}

static int try_execve(const char *path, void *arg)
{
	const uint64_t *vectors = arg;

	syscall(__NR_execve, path, vectors[0], vectors[1]);
	if (errno != EFAULT && errno != ENAMETOOLONG) /* the kernel has read it to its end */
		tried = path;
	if (errno != ENOENT)
		return -errno;
	/* The file exists, so its interpreter is missing. */
	return try_access(path, NULL) == 0 ? -ELIBACC : -ENOENT;
}

/*
 * arg = { paths, argv, env }, NULL-terminated vectors. The first path that can be executed is, as
 * with execvp(3): a missing one is skipped, and EACCES is reported only if none was executed.
 */
int op_execute(struct program *p, const struct op *op)
{
	uint64_t vectors[2];

	argument(p, op, 1, &vectors[0]);
	argument(p, op, 2, &vectors[1]);
	if (!stage.in_child)
		return -EPROTO;
	/*
	 * Changing ids cleared the parent-death signal for a moment: the launcher may have died in
	 * it.
	 */
	if (!stage.released && sync_send(stage.sync_fd, RECORD_EXECUTING, 0, 0, -1) < 0)
		_exit(1);
	return first_path(p, p->blob + op->arg[0], try_execve, vectors);
}

int op_drop_bounding(struct program *p, const struct op *op)
{
	(void)p;
	for (int number = 0; number < 64; number++)
		if ((op->arg[0] >> number & 1) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0 &&
		    prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1)
			return -EPERM;
	return 0;
}

/* Keeps a user namespace alive: it lives as long as a process in it, or an fd of it. */
static void stay(pid_t parent) __attribute__((noreturn));
static void stay(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	while (getppid() == parent)
		pause();
	_exit(0);
}

/*
 * arg = { uid map, length, gid map, length, procfs }. Opens an fd of a new user namespace with
 * these maps.
 */
int op_user_namespace(struct program *p, const struct op *op)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	static const char *const files[] = { "/uid_map", "/gid_map" };
	char path[64];
	int proc = p->slots[op->arg[4]], rc = 0, fd = -1;
	pid_t self = getpid();
	long pid;

	if (proc < 0 || stage.in_child)
		return -EBADF;
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid == 0)
		stay(self);
	if (pid < 0)
		return -errno;
	for (int i = 0; i < 2 && rc == 0; i++) {
		rc = numbered_path(path, sizeof(path), "", (int)pid, files[i]);
		if (rc == 0)
			rc = write_once(proc, path, text(p, op, 2 * i), op->arg[2 * i + 1]);
	}
	if (rc == 0)
		rc = numbered_path(path, sizeof(path), "", (int)pid, "/ns/user");
	if (rc == 0) {
		fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
		rc = fd < 0 ? -errno : 0;
	}
	kill((pid_t)pid, SIGKILL);
	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	return rc < 0 ? rc : set_slot(p, op->out, fd);
}
