/*
 * Stays as the parent of the played program's child. Moves its output to the log file and to
 * attached clients, and clients' input to it; answers requests on the unix socket. When the child
 * ends, writes the exit record durably, tells everyone, plays the clean-up ops and goes. Frames and
 * the exit record: see src/linux/program/format.ts.
 *
 * Back-pressure: a chunk of output stays until every attached client has taken it; only then is
 * more read. The end waits for nobody: what clients have not taken by then is sent by a process of
 * its own.
 */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "fuse.h"
#include "notify.h"
#include "sync.h"
#include "trace.h"

/* three quarters of a pipe; two of these use part of the megabyte that we may take */
#define CHUNK_BYTES 49152
#define LINE_BYTES 16384 /* a longer line becomes several log entries, as with Docker */
/* The room for one log entry at its worst, when every byte becomes six. */
#define ENTRY_BYTES(length) (6 * (length) + 128)
#define PATH_BYTES 4096
#define LOG_ENDING_BYTES 16 /* ".999.gz" */
/* for both streams: a pipe has a megabyte at most, unless its owner is privileged */
#define TAIL_BYTES (2 << 20)
#define MAX_CLIENTS 1024 /* more than the engine attaches (ATTACHED_CLIENTS_MAX) */
#define PART_MS 200 /* for clients that do not close when we do */
#define RELEASE_MS 1000 /* for a process, which may be frozen, to say that it runs by itself now */
/* how long the end waits for clients that do not take the last output */
#define FLUSH_MS 60000
/*
 * Clients are told of at most so many notifications, and of one more each second: a process must
 * not keep the engine busy.
 */
#define NOTICES 32
#define NOTICE_MS 1000

enum client_kind { CLIENT_NEW, CLIENT_CONTROL, CLIENT_ATTACH };

struct client {
	int fd;
	/* where output goes: fd, or the socket that came with the byte that starts output */
	int output_fd;
	uint8_t kind, mask;
	uint8_t untold; /* it has not been told of the last notification */
	uint8_t gone; /* it has closed its side: only what it sent for stdin still counts */
	uint8_t taken; /* bit i: it has had all of streams[i]'s chunk */
	int8_t current; /* the stream whose chunk is half sent, IN_TAIL, or -1 */
	uint8_t in_length;
	uint8_t in[24];
	uint32_t sent; /* bytes of the current chunk that were sent */
	uint32_t tail_at; /* the position of the next frame in the tail */
};

enum { IN_TAIL = 2 };

struct stream {
	int fd;
	uint8_t mask; /* ATTACH_STDOUT or ATTACH_STDERR */
	uint32_t length; /* the length of frame, header included; 0: empty */
	uint32_t line_length;
	uint8_t frame[FRAME_BYTES + CHUNK_BYTES];
	uint8_t line[LINE_BYTES]; /* the beginning of a line that has not ended yet */
};

enum state { STARTING, CREATED, STARTED, EXITED };

static struct program *program;
static enum state state;
static pid_t init_pid;
static int sync_fd, executing, init_reaped;
static int stdin_fd = -1, terminal_fd = -1, terminal_peer_fd = -1;
/* the child has yet to send it: until then clients keep their input */
static int terminal_due;
/*
 * Zeroed pages that nobody writes to take no memory: so large buffers are neither initialized nor
 * cleared later.
 */
static struct stream streams[2];
static struct client clients[MAX_CLIENTS];
static int client_count;
/* frames read at the end, while clients had not taken the chunks before them */
static uint8_t tail[TAIL_BYTES];
static uint32_t tail_length;
static uint8_t input[32768]; /* stdin bytes the process has not taken yet */
static size_t input_length, input_sent;
static int close_stdin_when_sent;
static uint64_t started_ns;
static int notify_fd = -1;
static struct notified notified;
static int notices = NOTICES;
static uint64_t noticed_ns; /* when `notices` was last counted up */
static uint8_t exit_record[EXIT_HEADER_BYTES + EXIT_MAX_CAPTURE_BYTES];
static size_t exit_record_length;

static struct {
	int fd; /* -1 if it could not be opened */
	int wanted; /* it has a path */
	uint64_t size;
	size_t length;
	uint8_t buffer[ENTRY_BYTES(LINE_BYTES)];
} logfile;

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void put_u32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put_frame_header(uint8_t *at, uint8_t kind, uint32_t length)
{
	memset(at, 0, FRAME_BYTES);
	at[0] = kind;
	at[4] = (uint8_t)(length >> 24);
	at[5] = (uint8_t)(length >> 16);
	at[6] = (uint8_t)(length >> 8);
	at[7] = (uint8_t)length;
}

static void set_nonblocking(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int slot_fd(uint32_t slot)
{
	return slot == NO_SLOT ? -1 : program->slots[slot];
}

/* ------------------------------------------ log: Docker's json-file, or the lines of Kubernetes */

static void log_open(void)
{
	const char *path = program_string(program, program->header.log_path);
	struct stat st;

	logfile.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	logfile.size = logfile.fd >= 0 && fstat(logfile.fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/*
 * The log's path, or that of the rotated file `number` if that is not 0. Long paths have no log:
 * see open_streams.
 */
static const char *log_path(char into[PATH_BYTES], uint32_t number, const char *ending)
{
	const char *path = program_string(program, program->header.log_path);

	if (number == 0)
		snprintf(into, PATH_BYTES, "%s%s", path, ending);
	else
		snprintf(into, PATH_BYTES, "%s.%u%s", path, number, ending);
	return into;
}

/*
 * Makes the current file the first rotated file. The engine later makes a ".gz" of each, and for a
 * while both exist.
 */
static void shift_rotated(const char *was_current)
{
	static const char *const endings[] = { "", ".gz" };
	char from[PATH_BYTES], to[PATH_BYTES];

	for (int i = 0; i < 2; i++) {
		uint32_t number = program->header.log_max_files - 1;

		unlink(log_path(from, number, endings[i]));
		while (--number > 0)
			rename(log_path(from, number, endings[i]),
			       log_path(to, number + 1, endings[i]));
	}
	rename(was_current, log_path(to, 1, ""));
}

static void tell_rotated(void);

/*
 * Rotates the log. Somebody who has the lock of the current file counts on all names for a moment:
 * then the rotation waits for the next output. There is a current file at every moment, and it is
 * locked from before it becomes that until all have their names.
 */
static void log_rotate(void)
{
	char path[PATH_BYTES], next[PATH_BYTES];
	int fd;

	if (program->header.log_max_files == 1) {
		if (ftruncate(logfile.fd, 0) == 0)
			logfile.size = 0;
		return;
	}
	if (flock(logfile.fd, LOCK_EX | LOCK_NB) < 0)
		return;
	log_path(path, 0, "");
	if (access(log_path(next, 0, ".next"), F_OK) == 0)
		shift_rotated(next); /* a launcher was killed during a rotation */
	fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd >= 0 && flock(fd, LOCK_EX) == 0 &&
	    renameat2(AT_FDCWD, next, AT_FDCWD, path, RENAME_EXCHANGE) == 0) {
		shift_rotated(next);
		flock(fd, LOCK_UN);
		tell_rotated();
	} else if (fd >= 0) { /* somebody has removed the log: the next output makes a new one */
		unlink(next);
		close(fd);
		fd = -1;
	}
	close(logfile.fd);
	logfile.fd = fd;
	logfile.size = 0;
}

static int is_log_full(uint64_t size)
{
	return program->header.log_max_bytes && size >= program->header.log_max_bytes;
}

/* Writes all or nothing, so that a full disk costs whole entries and never leaves half of one. */
static void log_flush(void)
{
	ssize_t written;

	if (logfile.length == 0)
		return;
	if (logfile.fd < 0)
		log_open();
	/* not sooner: the latest output must be in the current file */
	if (is_log_full(logfile.size)) {
		log_rotate();
		if (logfile.fd < 0)
			log_open();
	}
	if (logfile.fd < 0) {
		logfile.length = 0;
		return;
	}
	written = write(logfile.fd, logfile.buffer, logfile.length);
	if (written == (ssize_t)logfile.length)
		logfile.size += logfile.length;
	else if (written > 0 && ftruncate(logfile.fd, (off_t)logfile.size) < 0)
		logfile.size += (uint64_t)written;
	logfile.length = 0;
}

static void log_bytes(const void *bytes, size_t length)
{
	memcpy(logfile.buffer + logfile.length, bytes, length);
	logfile.length += length;
}

static void log_text(const char *text)
{
	log_bytes(text, strlen(text));
}

/*
 * The length of the valid UTF-8 sequence at `s`, or 0 if there is none. Source: RFC 3629, section
 * 4.
 */
static size_t utf8_length(const uint8_t *s, size_t left)
{
	size_t length = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	if (length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

static int is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* Appends the inside of a JSON string, with the escapes that Docker's logger uses. */
static void log_escaped(const uint8_t *s, size_t length)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < length;) {
		size_t run = i, sequence;

		while (run < length && is_plain(s[run]))
			run++;
		if (run > i) {
			log_bytes(s + i, run - i);
			i = run;
			continue;
		}
		if (s[i] == '"' || s[i] == '\\') {
			log_bytes((const uint8_t[]){ '\\', s[i] }, 2);
		} else if (s[i] == '\n') {
			log_text("\\n");
		} else if (s[i] == '\r') {
			log_text("\\r");
		} else if (s[i] == '\t') {
			log_text("\\t");
		} else if (s[i] < 0x20 || s[i] == '<' || s[i] == '>' || s[i] == '&') {
			log_bytes((const char[]){ '\\', 'u', '0', '0', hex[s[i] >> 4],
						  hex[s[i] & 15] },
				  6);
		} else if (s[i] == 0x7f) {
			log_bytes(s + i, 1);
		} else if ((sequence = utf8_length(s + i, length - i)) == 0) {
			log_text("\\ufffd");
		} else if (sequence == 3 && s[i] == 0xe2 && s[i + 1] == 0x80 &&
			   (s[i + 2] == 0xa8 || s[i + 2] == 0xa9)) {
			/* these end lines in JavaScript */
			log_text(s[i + 2] == 0xa8 ? "\\u2028" : "\\u2029");
			i += 2;
		} else {
			log_bytes(s + i, sequence);
			i += sequence - 1;
		}
		i++;
	}
}

/*
 * The text that tells the stream and the time, as Go prints it in RFC 3339, of each entry that is
 * written now: after an entry of a json-file, before a line for kubelet.
 */
struct stamp {
	size_t length;
	char text[96];
};

static int is_cri(void)
{
	return program->header.log_format == LOG_CRI;
}

static void make_stamp(struct stamp *stamp, const struct stream *stream)
{
	const char *name = stream->mask == ATTACH_STDOUT ? "stdout" : "stderr";
	uint64_t ns = now_ns();
	time_t seconds = (time_t)(ns / 1000000000);
	char ending[sizeof("Z stdout ")];
	struct tm tm;
	int length = 0;

	gmtime_r(&seconds, &tm);
	if (!is_cri())
		length = snprintf(stamp->text, sizeof(stamp->text),
				  "\",\"stream\":\"%s\",\"time\":\"", name);
	length += snprintf(stamp->text + length, sizeof(stamp->text) - (size_t)length,
			   "%04d-%02d-%02dT%02d:%02d:%02d.%09u", (tm.tm_year + 1900) % 10000,
			   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			   (unsigned)(ns % 1000000000));
	while (stamp->text[length - 1] == '0')
		length--;
	if (stamp->text[length - 1] == '.')
		length--;
	if (is_cri())
		snprintf(ending, sizeof(ending), "Z %s ", name);
	else
		snprintf(ending, sizeof(ending), "Z\"}\n");
	memcpy(stamp->text + length, ending, strlen(ending));
	stamp->length = (size_t)length + strlen(ending);
}

/*
 * Writes one entry: a line with its newline, or a part of a line, of which the last one `ends` the
 * line. A part for kubelet is "P", a whole line or the last part of one "F".
 */
static void log_line(const uint8_t *line, size_t length, const struct stamp *stamp, int ends)
{
	if (logfile.length + ENTRY_BYTES(length) > sizeof(logfile.buffer))
		log_flush();
	if (is_cri()) {
		if (line[length - 1] == '\n')
			length--;
		log_bytes(stamp->text, stamp->length);
		log_text(ends ? "F " : "P ");
		log_bytes(line, length);
		log_text("\n");
	} else {
		log_text("{\"log\":\"");
		log_escaped(line, length);
		log_bytes(stamp->text, stamp->length);
	}
	if (is_log_full(logfile.size + logfile.length))
		log_flush(); /* the next entry belongs to another file */
}

static void log_chunk(struct stream *stream, const uint8_t *bytes, size_t length)
{
	struct stamp stamp;

	if (!logfile.wanted)
		return;
	make_stamp(&stamp, stream);
	while (length > 0) {
		size_t room = LINE_BYTES - stream->line_length;
		size_t most = length < room ? length : room;
		const uint8_t *newline = memchr(bytes, '\n', most);
		size_t piece = newline ? (size_t)(newline - bytes) + 1 : most;
		int ends = newline || stream->line_length + piece == LINE_BYTES;

		if (ends && stream->line_length == 0) {
			log_line(bytes, piece, &stamp, newline != NULL);
		} else {
			memcpy(stream->line + stream->line_length, bytes, piece);
			stream->line_length += (uint32_t)piece;
			if (ends) {
				log_line(stream->line, stream->line_length, &stamp,
					 newline != NULL);
				stream->line_length = 0;
			}
		}
		bytes += piece;
		length -= piece;
	}
	log_flush();
}

static void log_end(struct stream *stream)
{
	struct stamp stamp;

	if (!logfile.wanted || stream->line_length == 0)
		return;
	make_stamp(&stamp, stream);
	log_line(stream->line, stream->line_length, &stamp, 1);
	stream->line_length = 0;
	log_flush();
}

/*
 * Goes on in the file that the path names now. All that was read has been written before, and the
 * beginning of a line that is still kept belongs to the new file.
 */
static int answer_reopen_log(void)
{
	int before = logfile.fd, error;
	uint64_t size = logfile.size;

	if (!logfile.wanted)
		return ENOENT;
	log_open();
	if (logfile.fd >= 0) {
		close(before);
		return 0;
	}
	error = errno;
	logfile.fd = before;
	logfile.size = size;
	return error;
}

/* -------------------------------------------------------------------------------------- clients */

static void close_output(struct client *client)
{
	if (client->output_fd != client->fd)
		close(client->output_fd);
	client->output_fd = client->fd;
}

static void drop_client(int index)
{
	close_output(&clients[index]);
	close(clients[index].fd);
	clients[index] = clients[--client_count];
}

/*
 * Sends a small frame to a control client. One that does not read is dropped: it can connect again.
 */
static int tell(struct client *client, uint8_t kind, const void *payload, uint32_t length)
{
	uint8_t frame[FRAME_BYTES + sizeof(exit_record)];

	_Static_assert(NOTIFIED_MAX_BYTES <= sizeof(exit_record), "a frame has room for either");
	put_frame_header(frame, kind, length);
	memcpy(frame + FRAME_BYTES, payload, length);
	return send(client->fd, frame, FRAME_BYTES + length, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       (ssize_t)(FRAME_BYTES + length);
}

static void tell_all(uint8_t kind, const void *payload, uint32_t length)
{
	for (int i = client_count - 1; i >= 0; i--)
		if (clients[i].kind == CLIENT_CONTROL && !tell(&clients[i], kind, payload, length))
			drop_client(i);
}

/*
 * Tells clients that the log was rotated. One that has not read the last notice needs no further
 * one: when it reads that, it looks for itself.
 */
static void tell_rotated(void)
{
	for (int i = client_count - 1; i >= 0; i--) {
		int unread;

		if (clients[i].kind == CLIENT_CONTROL &&
		    ioctl(clients[i].fd, SIOCOUTQ, &unread) == 0 && unread == 0 &&
		    !tell(&clients[i], FRAME_ROTATED, "", 0))
			drop_client(i);
	}
}

static int is_untold(void)
{
	for (int i = 0; i < client_count; i++)
		if (clients[i].untold)
			return 1;
	return 0;
}

/*
 * Tells clients what the process says of itself. One that has not read everything yet, or is told
 * too often, hears of it later, and then the latest.
 */
static void tell_notified(void)
{
	uint64_t now = now_ns();
	int told = 0;

	if (now - noticed_ns >= (uint64_t)NOTICE_MS * 1000000) {
		noticed_ns = now;
		notices += notices < NOTICES;
	}
	if (notices == 0 || !is_untold())
		return;
	for (int i = client_count - 1; i >= 0; i--) {
		int unread;

		if (!clients[i].untold || ioctl(clients[i].fd, SIOCOUTQ, &unread) < 0 || unread > 0)
			continue;
		told = 1;
		clients[i].untold = 0;
		if (!tell(&clients[i], FRAME_NOTIFIED, notified.lines, notified.length))
			drop_client(i);
	}
	notices -= told;
}

static void read_notifications(void)
{
	if (notify_fd < 0 || !notify_read(&notified, notify_fd, init_pid))
		return;
	for (int i = 0; i < client_count; i++)
		clients[i].untold = clients[i].kind == CLIENT_CONTROL;
}

/* The last word, which nothing may hold up: it comes before the news of the end. */
static void end_notifications(void)
{
	const char *path = program_string(program, program->header.notified_path);
	int fd;

	read_notifications();
	for (int i = client_count - 1; i >= 0; i--)
		if (clients[i].untold &&
		    !tell(&clients[i], FRAME_NOTIFIED, notified.lines, notified.length))
			drop_client(i);
	if (notified.length == 0)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	/* Half of it would be a wrong word. */
	if (write(fd, notified.lines, notified.length) != (ssize_t)notified.length)
		unlink(path);
	close(fd);
}

static void tell_state(struct client *client)
{
	uint32_t pid = (uint32_t)init_pid;

	if (state == CREATED)
		tell(client, FRAME_CREATED, &pid, sizeof(pid));
	else if (state == STARTED)
		tell(client, FRAME_STARTED, &pid, sizeof(pid));
	if (notified.length > 0)
		tell(client, FRAME_NOTIFIED, notified.lines, notified.length);
	if (state == EXITED)
		tell(client, FRAME_EXITED, exit_record, (uint32_t)exit_record_length);
}

static int answer_resize(const uint8_t *payload)
{
	struct winsize size = { 0 };

	memcpy(&size.ws_row, payload, 2);
	memcpy(&size.ws_col, payload + 2, 2);
	if (terminal_fd < 0)
		return ENOTTY;
	return ioctl(terminal_fd, TIOCSWINSZ, &size) < 0 ? errno : 0;
}

static int answer_signal(const uint8_t *payload)
{
	uint32_t number;

	memcpy(&number, payload, sizeof(number));
	if (init_reaped)
		return ESRCH;
	/* init_pid is our unreaped child, so it is nobody else's */
	return kill(init_pid, (int)number) < 0 ? errno : 0;
}

static int answer_start(void)
{
	int rc;

	if (state != CREATED)
		return EALREADY;
	state = STARTING;
	rc = sync_send(sync_fd, RECORD_TOKEN, 0, 0, -1);
	/* the child failed while it waited: read_sync reports why */
	return rc == -EPIPE ? 0 : -rc;
}

static void part(void);

/*
 * Waits until the process has taken our word: a failure before that is still a failed start, and
 * somebody is here to report it.
 */
static void let_go(void)
{
	struct pollfd answer = { sync_fd, POLLIN, 0 };
	struct record record;
	int passed;

	sync_send(sync_fd, RECORD_RELEASED, 0, 0, -1);
	while (poll(&answer, 1, RELEASE_MS) > 0 &&
	       sync_receive(sync_fd, &record, &passed, MSG_DONTWAIT) == (ssize_t)sizeof(record)) {
		if (record.type == RECORD_RELEASED)
			return;
		if (record.type == RECORD_FAILED)
			fail(program, init_pid,
			     (struct failure){ record.op_index, (int)record.error });
	}
}

/*
 * Leaves the process, which may have ended meanwhile, to our parent: nobody has waited for it here.
 */
static int answer_release(struct client *client)
{
	uint32_t error = 0;

	if (!program->header.hand_over || (state != CREATED && state != STARTED))
		return EINVAL;
	if (state == CREATED)
		let_go();
	unlink(program_string(program, program->header.socket_path));
	tell(client, FRAME_RESULT, &error, sizeof(error));
	part();
	_exit(0);
}

static void close_stdin(void)
{
	if (stdin_fd >= 0 && stdin_fd != terminal_fd)
		close(stdin_fd);
	stdin_fd = -1;
	input_length = input_sent = 0;
}

static void close_stdin_soon(void)
{
	close_stdin_when_sent = 1;
	if (input_length == 0)
		close_stdin();
}

/* Handles a whole frame from a client. Returns 0 to drop the client. */
static int handle_frame(struct client *client, uint8_t kind, const uint8_t *payload,
			uint32_t length)
{
	uint32_t error = 0;

	if (client->kind == CLIENT_NEW) {
		if (kind == FRAME_CONTROL && length == 0) {
			client->kind = CLIENT_CONTROL;
			tell_state(client);
			return 1;
		}
		if (kind != FRAME_ATTACH || length != 1)
			return 0;
		client->kind = CLIENT_ATTACH;
		client->mask = payload[0];
		for (int i = 0; i < 2; i++) /* what was read before it came is not for it */
			if (streams[i].length > 0)
				client->taken |= (uint8_t)(1 << i);
		return 1;
	}
	if (kind == FRAME_SIGNAL && length == 4)
		error = (uint32_t)answer_signal(payload);
	else if (kind == FRAME_RESIZE && length == 4)
		error = (uint32_t)answer_resize(payload);
	else if (kind == FRAME_REOPEN_LOG && length == 0)
		error = (uint32_t)answer_reopen_log();
	else if (kind == FRAME_CLOSE_STDIN && length == 0)
		close_stdin_soon();
	else if (kind == FRAME_START && length == 0)
		error = (uint32_t)answer_start();
	else if (kind == FRAME_RELEASE && length == 0)
		error = (uint32_t)answer_release(client);
	else
		return 0;
	return tell(client, FRAME_RESULT, &error, sizeof(error));
}

/* Reads frames of a client that is not attached yet. Returns 0 to drop it. */
static int read_requests(struct client *client)
{
	while (client->kind != CLIENT_ATTACH) {
		/* Never reads past the first frame's end: what follows an ATTACH is stdin. */
		size_t want = client->in_length < FRAME_BYTES ? FRAME_BYTES :
								(size_t)FRAME_BYTES + client->in[7];
		ssize_t n = 0;

		if (client->in_length < want) {
			n = read(client->fd, client->in + client->in_length,
				 want - client->in_length);
			if (n <= 0)
				return n < 0 &&
				       (errno == EAGAIN || errno == EINTR || errno == ECONNRESET);
			client->in_length += (uint8_t)n;
		}
		if (client->in_length < FRAME_BYTES)
			continue;
		if (client->in[4] || client->in[5] || client->in[6] ||
		    client->in[7] > sizeof(client->in) - FRAME_BYTES)
			return 0;
		if (client->in_length < FRAME_BYTES + client->in[7])
			continue;
		if (!handle_frame(client, client->in[0], client->in + FRAME_BYTES, client->in[7]))
			return 0;
		client->in_length = 0;
	}
	return 1;
}

/*
 * Waits for the byte that starts output, which may come with a socket to send it to. Returns 0
 * until it comes.
 */
static int may_send(struct client *client)
{
	uint8_t byte;
	int passed;
	ssize_t n;

	if (!(client->mask & ATTACH_HOLDS_OUTPUT))
		return 1;
	n = receive_with_fd(client->fd, &byte, sizeof(byte), &passed, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return 0;
	client->mask &= (uint8_t)~ATTACH_HOLDS_OUTPUT;
	if (passed >= 0)
		client->output_fd = passed;
	return 1; /* if its socket is closed, sending will find out */
}

/*
 * Handles a client's closed socket: it takes no more output. Returns 0 to drop it, 1 if there may
 * be stdin of it to read.
 */
static int hang_up(struct client *client)
{
	client->gone = 1;
	may_send(client); /* what follows that byte is stdin */
	client->mask &= (uint8_t) ~(ATTACH_STDOUT | ATTACH_STDERR);
	client->current = -1;
	close_output(client);
	return (client->mask & ATTACH_STDIN) != 0;
}

/* Reads stdin from an attached client. Returns 0 to drop it. */
static int read_input(struct client *client)
{
	ssize_t n;

	if (!may_send(client) || !(client->mask & ATTACH_STDIN) || input_length > 0 || terminal_due)
		return 1;
	n = read(client->fd, input, sizeof(input));
	if (n < 0) /* ECONNRESET comes once, before what was sent */
		return errno == EAGAIN || errno == EINTR || errno == ECONNRESET;
	if (n == 0) {
		if (client->mask & ATTACH_CLOSE_STDIN_ON_END)
			close_stdin_soon();
		client->mask &= (uint8_t)~ATTACH_STDIN; /* half-closed: it may still want output */
		return (client->mask & (ATTACH_STDOUT | ATTACH_STDERR)) != 0;
	}
	if (stdin_fd >= 0)
		input_length = (size_t)n;
	return 1;
}

static void write_input(void)
{
	ssize_t n;

	if (stdin_fd < 0 || input_length == 0)
		return;
	n = write(stdin_fd, input + input_sent, input_length - input_sent);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		close_stdin();
		return;
	}
	if (n > 0)
		input_sent += (size_t)n;
	if (input_sent == input_length)
		input_length = input_sent = 0;
	if (input_length == 0 && close_stdin_when_sent)
		close_stdin();
}

/*
 * Drops a client that has gone but is kept for what it sent for stdin: its place is needed. Returns
 * 0 if there is none.
 */
static int make_room(void)
{
	for (int i = 0; i < client_count; i++)
		if (clients[i].gone) {
			drop_client(i);
			return 1;
		}
	return 0;
}

/*
 * Accepts clients, and reads what earlier ones say of themselves: a client that has said it before
 * some output misses none of that.
 */
static void accept_clients(void)
{
	for (int i = client_count - 1; i >= 0; i--)
		if (clients[i].kind == CLIENT_NEW && !read_requests(&clients[i]))
			drop_client(i);
	for (;;) {
		int fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (client_count == MAX_CLIENTS && !make_room()) {
			close(fd);
			continue;
		}
		clients[client_count] = (struct client){ .fd = fd, .output_fd = fd, .current = -1 };
		if (!read_requests(&clients[client_count++]))
			drop_client(client_count - 1);
	}
}

static uint32_t frame_length(const uint8_t *frame)
{
	return FRAME_BYTES + ((uint32_t)frame[4] << 24 | (uint32_t)frame[5] << 16 |
			      (uint32_t)frame[6] << 8 | frame[7]);
}

/* The next chunk that this client has not had: a stream's, IN_TAIL, or -1. */
static int next_chunk(struct client *client)
{
	for (int i = 0; i < 2; i++)
		if (streams[i].length > 0 && (client->mask & streams[i].mask) &&
		    !(client->taken & (1 << i)))
			return i;
	for (; client->tail_at < tail_length;
	     client->tail_at += frame_length(tail + client->tail_at))
		if (client->mask &
		    (tail[client->tail_at] == FRAME_STDOUT ? ATTACH_STDOUT : ATTACH_STDERR))
			return IN_TAIL;
	return -1;
}

static int is_behind(struct client *client)
{
	return client->kind == CLIENT_ATTACH && (client->current >= 0 || next_chunk(client) >= 0);
}

/* Sends as much as the client's socket takes. Returns 0 to drop it. */
static int send_output(struct client *client)
{
	if (!may_send(client))
		return 1;
	for (;;) {
		const uint8_t *frame;
		uint32_t length;
		ssize_t n;

		if (client->current < 0) {
			client->current = (int8_t)next_chunk(client);
			/* a terminal's bytes go without headers, but to who asks for them */
			client->sent = terminal_fd >= 0 && !(client->mask & ATTACH_HEADERS) ?
					       FRAME_BYTES :
					       0;
		}
		if (client->current < 0)
			return 1;
		frame = client->current == IN_TAIL ? tail + client->tail_at :
						     streams[client->current].frame;
		length = frame_length(frame);
		n = send(client->output_fd, frame + client->sent, length - client->sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR || hang_up(client);
		client->sent += (uint32_t)n;
		if (client->sent < length)
			return 1;
		if (client->current == IN_TAIL)
			client->tail_at += length;
		else
			client->taken |= (uint8_t)(1 << client->current);
		client->current = -1;
	}
}

static void send_outputs(void)
{
	for (int i = client_count - 1; i >= 0; i--)
		if (clients[i].kind == CLIENT_ATTACH && !send_output(&clients[i]))
			drop_client(i);
	for (int s = 0; s < 2; s++) {
		int waiting = 0;

		for (int i = 0; i < client_count; i++)
			waiting |= clients[i].kind == CLIENT_ATTACH &&
				   (clients[i].mask & streams[s].mask) &&
				   !(clients[i].taken & (1 << s));
		if (waiting)
			continue;
		streams[s].length = 0;
		for (int i = 0; i < client_count; i++)
			clients[i].taken &= (uint8_t) ~(1 << s);
	}
}

/* -------------------------------------------------------------------------- output of the child */

/*
 * Reads a chunk of at most `room` bytes into a frame, and into the log. Returns the frame's length,
 * or 0 if there was nothing. At the end of the stream its fd becomes -1.
 */
static uint32_t read_frame(struct stream *stream, uint8_t *frame, size_t room)
{
	ssize_t n;

	if (stream->fd < 0 || room <= FRAME_BYTES)
		return 0;
	room -= FRAME_BYTES;
	n = read(stream->fd, frame + FRAME_BYTES, room < CHUNK_BYTES ? room : CHUNK_BYTES);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		log_end(stream);
		if (stream->fd != terminal_fd)
			close(stream->fd);
		stream->fd = -1;
		return 0;
	}
	put_frame_header(frame, stream->mask == ATTACH_STDOUT ? FRAME_STDOUT : FRAME_STDERR,
			 (uint32_t)n);
	log_chunk(stream, frame + FRAME_BYTES, (size_t)n);
	return FRAME_BYTES + (uint32_t)n;
}

/* Reads the stream's next chunk if clients have taken the last one. Returns the chunk's length. */
static uint32_t read_stream(struct stream *stream)
{
	if (stream->length == 0)
		stream->length = read_frame(stream, stream->frame, sizeof(stream->frame));
	return stream->length;
}

/* The child's pid, or 0 once it has been waited for: by then the number may be somebody else's. */
static pid_t unreaped_init(void)
{
	return init_reaped ? 0 : init_pid;
}

/*
 * Takes the child's terminal: its master goes to the console socket, or is ours to serve. In the
 * first case it also stays open here until we go: if the receiver dropped it, the child's session
 * would get a SIGHUP in the middle of its set-up.
 */
static void take_terminal(int fd)
{
	int rc;

	if (program->header.console_fd) {
		rc = send_with_fd((int)program->header.console_fd, "/dev/ptmx",
				  sizeof("/dev/ptmx") - 1, fd);
		if (rc < 0)
			fail(program, unreaped_init(), (struct failure){ OP_INDEX_UNKNOWN, -rc });
		return;
	}
	if (!terminal_due) {
		close(fd);
		return;
	}
	terminal_due = 0;
	terminal_fd = stdin_fd = streams[0].fd = fd;
	/*
	 * Our own fd of the other end: with it, the terminal does not hang up when the last process
	 * closes it.
	 */
	terminal_peer_fd = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	set_nonblocking(fd);
}

static void open_streams(void)
{
	const char *path;

	terminal_due = program->header.terminal != 0;
	stdin_fd = slot_fd(program->header.stdin_slot);
	streams[0].fd = slot_fd(program->header.stdout_slot);
	streams[0].mask = ATTACH_STDOUT;
	streams[1].fd = slot_fd(program->header.stderr_slot);
	streams[1].mask = ATTACH_STDERR;
	notify_fd = slot_fd(program->header.notify_slot);
	set_nonblocking(stdin_fd);
	set_nonblocking(streams[0].fd);
	set_nonblocking(streams[1].fd);
	logfile.fd = -1;
	path = program_string(program, program->header.log_path);
	logfile.wanted = path && strlen(path) < PATH_BYTES - LOG_ENDING_BYTES;
}

/* -------------------------------------------------------------------------------- start and end */

static void kill_and_reap(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/*
 * Says the last word to every client: our side of its socket ends, and what it has sent meanwhile
 * is read. A socket that is closed with unread bytes is reset, and the client may then lose the
 * answer that it had not read yet.
 */
static void part(void)
{
	struct pollfd fds[MAX_CLIENTS];
	uint64_t deadline = now_ns() + (uint64_t)PART_MS * 1000000;

	for (int i = 0; i < client_count; i++)
		shutdown(clients[i].fd, SHUT_WR);
	while (client_count > 0 && now_ns() < deadline) {
		for (int i = 0; i < client_count; i++)
			fds[i] = (struct pollfd){ clients[i].fd, POLLIN, 0 };
		poll(fds, (nfds_t)client_count, PART_MS);
		for (int i = client_count - 1; i >= 0; i--) {
			ssize_t n = fds[i].revents ? read(clients[i].fd, input, sizeof(input)) : 1;

			if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
				drop_client(i);
		}
	}
}

void fail(struct program *p, pid_t init, struct failure failure)
{
	uint8_t payload[8];

	program = p;
	fuse_end();
	kill_and_reap(init);
	play_cleanup(program);
	if (p->blob)
		unlink(program_string(p, p->header.socket_path));
	put_u32(payload, failure.op_index);
	put_u32(payload + 4, (uint32_t)failure.error);
	accept_clients();
	tell_all(FRAME_FAILED, payload, sizeof(payload));
	part();
	_exit(1);
}

static uint32_t last_of_init(const struct program *p)
{
	return p->header.host_count + p->header.init_count - 1;
}

/*
 * Reads what the child says until its execve(2). If the socket ends after RECORD_EXECUTING,
 * execve(2) has succeeded.
 */
static void read_sync(void)
{
	struct record record;
	uint32_t pid = (uint32_t)init_pid;
	int passed;
	ssize_t n;

	while (sync_fd >= 0 && (n = sync_receive(sync_fd, &record, &passed, MSG_DONTWAIT)) >= 0) {
		if (passed >= 0) {
			take_terminal(passed);
		} else if (n == 0) {
			close(sync_fd);
			sync_fd = -1;
			if (state == CREATED)
				return; /* killed before its start: an ordinary end */
			if (!executing)
				fail(program, unreaped_init(),
				     (struct failure){ OP_INDEX_UNKNOWN, ECHILD });
			state = STARTED;
			started_ns = now_ns();
			trace_op(last_of_init(program), OP_ENDS); /* it has become the program */
			tell_all(FRAME_STARTED, &pid, sizeof(pid));
		} else if (record.type == RECORD_FAILED) {
			fail(program, unreaped_init(),
			     (struct failure){ record.op_index, (int)record.error });
		} else if (record.type == RECORD_EXECUTING) {
			executing = 1;
		} else if (program->header.hold) {
			state = CREATED;
			tell_all(FRAME_CREATED, &pid, sizeof(pid));
		}
	}
}

/*
 * Writes to a temporary file, fsyncs, renames, and fsyncs the folder: after this the record
 * survives anything.
 */
static void write_exit_record(void)
{
	const char *path = program_string(program, program->header.exit_path);
	char temporary[PATH_BYTES], folder[PATH_BYTES];
	char *slash;
	int fd;

	if (snprintf(temporary, sizeof(temporary), "%s.tmp", path) >= (int)sizeof(temporary))
		return;
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (write(fd, exit_record, exit_record_length) == (ssize_t)exit_record_length &&
	    fsync(fd) == 0)
		rename(temporary, path);
	close(fd);
	strcpy(folder, temporary);
	slash = strrchr(folder, '/');
	if (!slash)
		return;
	*slash = 0;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

static void make_exit_record(int status, uint64_t finished_ns)
{
	size_t captured = 0;
	const struct op *op;

	for (uint32_t i = 0; (op = cleanup_op(program, i)) != NULL; i++)
		if (op->kind == OP_CAPTURE)
			captured += (size_t)capture_file(program, op,
							 exit_record + EXIT_HEADER_BYTES + captured,
							 EXIT_MAX_CAPTURE_BYTES - captured);
	put_u32(exit_record, EXIT_MAGIC);
	put_u32(exit_record + 4, EXIT_VERSION);
	put_u32(exit_record + 8, (uint32_t)status);
	put_u32(exit_record + 12, (uint32_t)captured);
	memcpy(exit_record + 16, &started_ns, 8);
	memcpy(exit_record + 24, &finished_ns, 8);
	exit_record_length = EXIT_HEADER_BYTES + captured;
}

/* What to poll for before more is sent to a client. */
static struct pollfd poll_output(struct client *client)
{
	struct pollfd none = { -1, 0, 0 };

	if (!is_behind(client))
		return none;
	if (client->mask & ATTACH_HOLDS_OUTPUT)
		return (struct pollfd){ client->fd, POLLIN, 0 };
	return (struct pollfd){ client->output_fd, POLLOUT, 0 };
}

/*
 * Reads what is left. All that the child wrote is in the pipes by now: it goes into the log, and to
 * clients as long as they take it at once. A stream that others hold open is given up when it runs
 * dry, or when they have written more than there can have been.
 */
static void drain_streams(void)
{
	size_t drained = 0;
	uint32_t length;

	accept_clients();
	do {
		send_outputs();
		if (streams[0].length > 0 || streams[1].length > 0)
			break;
		length = read_stream(&streams[0]) + read_stream(&streams[1]);
		drained += length;
	} while (length > 0 && drained < TAIL_BYTES);
	do {
		length = read_frame(&streams[0], tail + tail_length, sizeof(tail) - tail_length);
		length += read_frame(&streams[1], tail + tail_length + length,
				     sizeof(tail) - tail_length - length);
		tail_length += length;
	} while (length > 0);
	log_end(&streams[0]);
	log_end(&streams[1]);
}

/* Drops the clients that have not had all output, or all others. */
static void keep_clients(int behind)
{
	for (int i = client_count - 1; i >= 0; i--)
		if (is_behind(&clients[i]) != behind)
			drop_client(i);
}

static void close_all_but_clients(void)
{
	int end = 0;

	for (int i = 0; i < client_count; i++) {
		end = clients[i].fd >= end ? clients[i].fd + 1 : end;
		end = clients[i].output_fd >= end ? clients[i].output_fd + 1 : end;
	}
	for (int fd = 0; fd < end; fd++) {
		int is_clients = 0;

		for (int i = 0; i < client_count && !is_clients; i++)
			is_clients = fd == clients[i].fd || fd == clients[i].output_fd;
		if (!is_clients)
			close(fd);
	}
	syscall(SYS_close_range, (unsigned)end, ~0U, 0);
}

/*
 * Reads what a client has sent meanwhile: see part. Returns 0 to drop it: it has had everything,
 * and sends no more.
 */
static int flush_client(struct client *client, short events)
{
	if (events & (POLLHUP | POLLERR))
		return 0;
	if ((client->mask & (ATTACH_STDIN | ATTACH_HOLDS_OUTPUT)) == ATTACH_STDIN &&
	    (events & POLLIN) && read(client->fd, input, sizeof(input)) == 0)
		client->mask &= (uint8_t)~ATTACH_STDIN;
	if (is_behind(client)) {
		if (!send_output(client))
			return 0;
		if (!is_behind(client)) {
			close_output(client);
			shutdown(client->fd, SHUT_WR);
		}
	}
	return is_behind(client) || (client->mask & ATTACH_STDIN);
}

/*
 * Runs in a process that holds nothing else: sends the rest to clients that have not had
 * everything.
 */
static void flush_clients(void)
{
	static struct pollfd fds[2 * MAX_CLIENTS];
	uint64_t now = now_ns(), deadline = now + (uint64_t)FLUSH_MS * 1000000;

	/*
	 * The clock is read once a round: a remaining time below 0 would mean "no limit" to
	 * poll(2).
	 */
	for (; client_count > 0 && now < deadline; now = now_ns()) {
		for (int i = 0; i < client_count; i++) {
			uint8_t reads = (clients[i].mask & (ATTACH_STDIN | ATTACH_HOLDS_OUTPUT)) ==
					ATTACH_STDIN;

			fds[2 * i] = (struct pollfd){ clients[i].fd, reads ? POLLIN : 0, 0 };
			fds[2 * i + 1] = poll_output(&clients[i]);
		}
		poll(fds, (nfds_t)(2 * client_count), (int)((deadline - now) / 1000000) + 1);
		for (int i = client_count - 1; i >= 0; i--)
			if (!flush_client(&clients[i], fds[2 * i].revents))
				drop_client(i);
	}
}

/*
 * Lets attached clients that have had all the output go: they need not wait for the rest of the
 * end, nor the end for the others.
 */
static void end_outputs(void)
{
	int behind = 0;

	for (int i = 0; i < client_count; i++) {
		if (is_behind(&clients[i])) {
			behind = 1;
		} else if (clients[i].kind == CLIENT_ATTACH) {
			close_output(&clients[i]);
			shutdown(clients[i].fd, SHUT_WR);
		}
	}
	if (!behind)
		return;
	if (fork() == 0) {
		keep_clients(1);
		close_all_but_clients();
		flush_clients();
		_exit(0);
	}
	keep_clients(0);
}

static void child_ended(int status)
{
	uint64_t finished_ns = now_ns();

	init_reaped = 1;
	read_sync(); /* its last words may be unread; does not return if the start failed */
	close_stdin();
	if (terminal_peer_fd >= 0)
		close(terminal_peer_fd);
	terminal_peer_fd = -1;
	drain_streams();
	end_outputs();
	end_notifications();
	make_exit_record(status, finished_ns);
	write_exit_record();
	state = EXITED;
	accept_clients();
	tell_all(FRAME_EXITED, exit_record, (uint32_t)exit_record_length);
}

/* Reaps children. Returns 1 when ours has ended; the others are orphans that became ours. */
static int reap(void)
{
	int status, ended = 0;
	pid_t pid;

	if (program->header.hand_over)
		return 0; /* its parent-to-be waits for it */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != init_pid)
			continue;
		ended = 1;
		child_ended(status);
	}
	return ended;
}

enum {
	POLL_LISTEN,
	POLL_SIGNAL,
	POLL_SYNC,
	POLL_STREAM0,
	POLL_STREAM1,
	POLL_STDIN,
	POLL_NOTIFY,
	POLL_VIEW,
	POLL_CLIENTS
};

static int wants_input(const struct client *client)
{
	return client->kind != CLIENT_ATTACH ||
	       ((client->mask & ATTACH_STDIN) && input_length == 0 && !terminal_due);
}

/*
 * Whether nobody is left who could take over a process that is to be handed over, or start one that
 * is held: only whoever asked for it can.
 */
static int is_unwanted_without_clients(void)
{
	return program->header.hand_over ||
	       (program->header.hold && (state == STARTING || state == CREATED));
}

static void poll_once(int signal_fd)
{
	/* two for each client: its connection, and where its output goes */
	static struct pollfd fds[POLL_CLIENTS + 2 * MAX_CLIENTS];
	int polled_clients = client_count, timeout_ms = is_untold() ? NOTICE_MS : -1;

	fds[POLL_LISTEN] = (struct pollfd){ LISTEN_FD, POLLIN, 0 };
	fds[POLL_SIGNAL] = (struct pollfd){ signal_fd, POLLIN, 0 };
	fds[POLL_SYNC] = (struct pollfd){ sync_fd, POLLIN, 0 };
	for (int s = 0; s < 2; s++)
		fds[POLL_STREAM0 + s] =
			(struct pollfd){ streams[s].length == 0 ? streams[s].fd : -1, POLLIN, 0 };
	fds[POLL_STDIN] = (struct pollfd){ input_length > 0 ? stdin_fd : -1, POLLOUT, 0 };
	fds[POLL_NOTIFY] = (struct pollfd){ notify_fd, POLLIN, 0 };
	fds[POLL_VIEW] = (struct pollfd){ fuse_poll(&timeout_ms), POLLIN, 0 };
	for (int i = 0; i < polled_clients; i++) {
		/* A closed socket is always ready: it waits for its turn unpolled. */
		int waits = clients[i].gone && (input_length > 0 || terminal_due);
		struct pollfd *of_client = &fds[POLL_CLIENTS + 2 * i];

		of_client[0] = (struct pollfd){ waits ? -1 : clients[i].fd,
						wants_input(&clients[i]) ? POLLIN : 0, 0 };
		of_client[1] = poll_output(&clients[i]);
	}
	if (poll(fds, (nfds_t)(POLL_CLIENTS + 2 * polled_clients), timeout_ms) < 0)
		return;
	if (fds[POLL_VIEW].revents)
		fuse_serve(); /* first: its clients can do nothing else meanwhile */

	/*
	 * New clients come first: one that connected before the process started must not miss a
	 * byte.
	 */
	for (int i = polled_clients - 1; i >= 0; i--) {
		struct client *client = &clients[i];
		short events = fds[POLL_CLIENTS + 2 * i].revents;
		int keep = 1;

		if (client->kind == CLIENT_ATTACH && (events & (POLLHUP | POLLERR)))
			keep = hang_up(client);
		if (keep && (events & (POLLIN | POLLHUP | POLLERR)))
			keep = client->kind == CLIENT_ATTACH ? read_input(client) :
							       read_requests(client);
		if (!keep && client_count == 1 && is_unwanted_without_clients())
			/* the client hears of that */
			fail(program, unreaped_init(),
			     (struct failure){ OP_INDEX_UNKNOWN, ECANCELED });
		if (!keep)
			drop_client(i);
	}
	accept_clients();
	read_sync();
	for (int s = 0; s < 2; s++)
		if (fds[POLL_STREAM0 + s].revents)
			read_stream(&streams[s]);
	if (fds[POLL_NOTIFY].revents)
		read_notifications();
	tell_notified();
	write_input();
	send_outputs();
}

void supervise(struct program *p, pid_t init, int sync)
{
	sigset_t sigchld;
	int signal_fd;

	program = p;
	init_pid = init;
	sync_fd = sync;
	sigemptyset(&sigchld);
	sigaddset(&sigchld, SIGCHLD);
	signal_fd = signalfd(-1, &sigchld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		fail(p, init, (struct failure){ OP_INDEX_UNKNOWN, errno });
	open_streams();
	fuse_begin(p);
	accept_clients();
	if (logfile.wanted)
		/*
		 * followers of the log look for the file; making it here, while the child is busy,
		 * costs the start nothing
		 */
		log_open();
	do {
		struct signalfd_siginfo info;

		poll_once(signal_fd);
		while (read(signal_fd, &info, sizeof(info)) > 0)
			;
		if (client_count == 0 && is_unwanted_without_clients())
			fail(p, init, (struct failure){ OP_INDEX_UNKNOWN, ECANCELED });
	} while (!reap());
	fuse_end();
	play_cleanup(program);
	unlink(program_string(p, p->header.socket_path));
	part();
	_exit(0);
}
