/*
 * The one door between the short commands' TypeScript and the kernel: the object `host`.
 * `src/linux/sys/door.ts` and `src/shims/host.ts` have its types.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "host.h"

#define ARGUMENTS(name) JSContext *context, JSValueConst self, int name##_count, JSValueConst *name
#define TERMIOS_BYTES 36 /* the kernel's struct termios */
#define TERMIOS_GET 0x5401
#define TERMIOS_SET 0x5402

extern char **environ;

struct bytes {
	uint8_t *at; /* NULL: an exception is pending */
	size_t length;
};

/*
 * The memory of an ArrayBuffer or of a view of one. The class is asked first: to try
 * JS_GetArrayBuffer on a view would make an exception with a backtrace each time.
 */
static struct bytes bytes_of(JSContext *context, JSValueConst value)
{
	uint32_t class = (uint32_t)JS_GetClassID(value);
	struct bytes found = {NULL, 0};

	if (class >= image->first_view_class && class <= image->last_view_class) {
		size_t offset, length, whole;
		JSValue buffer = JS_GetTypedArrayBuffer(context, value, &offset, &length, NULL);
		uint8_t *start;

		if (JS_IsException(buffer))
			return found;
		start = JS_GetArrayBuffer(context, &whole, buffer);
		JS_FreeValue(context, buffer); /* the view holds it */
		if (start)
			found = (struct bytes){start + offset, length};
	} else {
		found.at = JS_GetArrayBuffer(context, &found.length, value);
	}
	return found;
}

/*
 * A system call's argument: null, a number, a bigint, or bytes, which stand for their address. A
 * text stands for that of its UTF-8, with a NUL at the end; it is the caller's to free.
 */
static int argument_of(JSContext *context, JSValueConst value, int64_t *argument,
	const char **text)
{
	struct bytes bytes;

	*argument = 0;
	if (JS_IsString(value)) {
		size_t length;

		*text = JS_ToCStringLen(context, &length, value);
		if (!*text)
			return -1;
		*argument = (int64_t)(intptr_t)*text;
		text_mend((char *)*text, length); /* ASCII may be the engine's own, and stays */
		if (strlen(*text) == length)
			return 0;
		JS_ThrowTypeError(context, "a text for the kernel has a NUL in it");
		return -1;
	}
	if (JS_IsNumber(value) || JS_IsBigInt(context, value))
		return JS_ToInt64Ext(context, argument, value);
	if (JS_IsNull(value) || JS_IsUndefined(value) || JS_IsBool(value))
		return 0;
	bytes = bytes_of(context, value);
	*argument = (int64_t)(intptr_t)bytes.at;
	return bytes.at ? 0 : -1;
}

static JSValue door_syscall(ARGUMENTS(given))
{
	int64_t number, arguments[6] = {0};
	const char *texts[6] = {NULL};
	bool are_good = true;
	long result = 0;

	(void)self;
	if (!image->is_written)
		return JS_ThrowInternalError(context,
			"a module asks the kernel while it is evaluated, by the build");
	if (given_count < 1 || given_count > 7 || JS_ToInt64Ext(context, &number, given[0]) < 0)
		return JS_ThrowTypeError(context, "not a system call");
	for (int i = 0; are_good && i < given_count - 1; i++)
		are_good = argument_of(context, given[i + 1], &arguments[i], &texts[i]) == 0;
	if (are_good) {
		result = syscall((long)number, arguments[0], arguments[1], arguments[2],
			arguments[3], arguments[4], arguments[5]);
		if (result == -1)
			result = -errno;
	}
	for (int i = 0; i < given_count - 1; i++)
		if (texts[i])
			JS_FreeCString(context, texts[i]);
	return are_good ? JS_NewInt64(context, result) : JS_EXCEPTION;
}

static JSValue door_address(ARGUMENTS(given))
{
	struct bytes bytes = bytes_of(context, given[0]);

	(void)self;
	(void)given_count;
	return bytes.at ? JS_NewInt64(context, (int64_t)(intptr_t)bytes.at) : JS_EXCEPTION;
}

static JSValue door_encode(ARGUMENTS(given))
{
	size_t length;
	const char *text = JS_ToCStringLen(context, &length, given[0]);
	JSValue bytes;

	(void)self;
	(void)given_count;
	if (!text)
		return JS_EXCEPTION;
	bytes = JS_NewArrayBufferCopy(context, (const uint8_t *)text, length);
	JS_FreeCString(context, text);
	if (!JS_IsException(bytes) && length > 0) {
		struct bytes copy = bytes_of(context, bytes);

		text_mend((char *)copy.at, copy.length);
	}
	return bytes;
}

/*
 * encodeInto(text, bytes, from, to): writes the text's UTF-8 there, whole characters, as many as
 * fit. Returns how many bytes that are.
 */
static JSValue door_encode_into(ARGUMENTS(given))
{
	struct bytes bytes;
	int64_t from, to;
	size_t length;
	const char *text;

	(void)self;
	if (given_count != 4)
		return JS_ThrowTypeError(context, "not a text and a place for it");
	bytes = bytes_of(context, given[1]);
	if (!bytes.at || JS_ToInt64(context, &from, given[2]) < 0 ||
		JS_ToInt64(context, &to, given[3]) < 0)
		return JS_EXCEPTION;
	if (from < 0 || from > to || (size_t)to > bytes.length)
		return JS_ThrowRangeError(context, "outside of the bytes");
	text = JS_ToCStringLen(context, &length, given[0]);
	if (!text)
		return JS_EXCEPTION;
	if (length > (size_t)(to - from)) {
		length = (size_t)(to - from);
		while (length > 0 && ((uint8_t)text[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(bytes.at + from, text, length);
	text_mend((char *)bytes.at + from, length);
	JS_FreeCString(context, text);
	return JS_NewInt64(context, (int64_t)length);
}

static JSValue door_decode(ARGUMENTS(given))
{
	struct bytes bytes = bytes_of(context, given[0]);

	(void)self;
	(void)given_count;
	return bytes.at ? text_decode(context, bytes.at, bytes.length) : JS_EXCEPTION;
}

static JSValue door_latin1(ARGUMENTS(given))
{
	struct bytes bytes = bytes_of(context, given[0]);

	(void)self;
	(void)given_count;
	return bytes.at ? text_decode_latin1(context, bytes.at, bytes.length) : JS_EXCEPTION;
}

static JSValue door_sha256(ARGUMENTS(given))
{
	struct bytes bytes = bytes_of(context, given[0]);
	uint8_t digest[32];

	(void)self;
	(void)given_count;
	if (!bytes.at)
		return JS_EXCEPTION;
	sha256(bytes.at, bytes.length, digest);
	return JS_NewArrayBufferCopy(context, digest, sizeof(digest));
}

/*
 * spawn(path, argv, envp, fds, newSession, directory): strings end in NUL, argv and envp are
 * addresses of them, ended by a 0.
 */
static JSValue door_spawn(ARGUMENTS(given))
{
	struct bytes path, argv, envp, fds, directory = {NULL, 0};
	struct spawn child;

	(void)self;
	if (!image->is_written || given_count != 6)
		return JS_ThrowTypeError(context, "not a program to start");
	path = bytes_of(context, given[0]);
	argv = bytes_of(context, given[1]);
	envp = bytes_of(context, given[2]);
	fds = bytes_of(context, given[3]);
	if (!JS_IsNull(given[5]))
		directory = bytes_of(context, given[5]);
	if (!path.at || !argv.at || !envp.at || !fds.at || (!JS_IsNull(given[5]) && !directory.at))
		return JS_EXCEPTION;
	child = (struct spawn){
		.path = (const char *)path.at,
		.directory = (const char *)directory.at,
		.argv = (char **)(void *)argv.at,
		.envp = (char **)(void *)envp.at,
		.fds = (const int *)(const void *)fds.at,
		.fd_count = fds.length / sizeof(int),
		.new_session = JS_ToBool(context, given[4]) == 1,
	};
	return JS_NewInt32(context, spawn(&child));
}

/* The terminal to give back, whatever ends us. */
static struct {
	int fd;
	char termios[64];
} terminal = {.fd = -1};

static const int DEADLY[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTERM, SIGINT, SIGHUP,
	SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2};

static void give_back_terminal(int number)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t only;

	ioctl(terminal.fd, TERMIOS_SET, terminal.termios);
	sigaction(number, &standard, NULL);
	sigemptyset(&only);
	sigaddset(&only, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &only, NULL);
}

/*
 * keepTerminal(fd, termios): from now on the terminal is given these settings at a signal or a
 * crash that ends us. keepTerminal(-1): no longer. Signals that TypeScript listens to are blocked,
 * and do not come here.
 */
static JSValue door_keep_terminal(ARGUMENTS(given))
{
	static char stack[16384];
	stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = give_back_terminal, .sa_flags = SA_ONSTACK};
	int fd;

	(void)self;
	if (JS_ToInt32(context, &fd, given[0]) < 0)
		return JS_EXCEPTION;
	if (fd >= 0) {
		struct bytes termios = bytes_of(context, given[given_count - 1]);

		if (!termios.at || termios.length < TERMIOS_BYTES ||
			termios.length > sizeof(terminal.termios))
			return JS_ThrowTypeError(context, "not the settings of a terminal");
		memcpy(terminal.termios, termios.at, termios.length);
		sigaltstack(&alternative, NULL);
	} else {
		action = (struct sigaction){.sa_handler = SIG_DFL};
	}
	terminal.fd = fd;
	for (size_t i = 0; i < sizeof(DEADLY) / sizeof(*DEADLY); i++) {
		struct sigaction present;

		if (sigaction(DEADLY[i], NULL, &present) == 0 && present.sa_handler != SIG_IGN)
			sigaction(DEADLY[i], &action, NULL);
	}
	return JS_UNDEFINED;
}

/* Keeps a function that is given to the host. */
static JSValue door_keep(JSContext *context, JSValueConst self, int given_count,
	JSValueConst *given, int which)
{
	JSValue *const places[] = {&image->start, &image->turn, &image->uncaught};

	(void)self;
	(void)given_count;
	JS_FreeValue(context, *places[which]);
	*places[which] = JS_DupValue(context, given[0]);
	return JS_UNDEFINED;
}

static JSValue door_collect(ARGUMENTS(given))
{
	(void)self;
	(void)given;
	(void)given_count;
	JS_RunGC(JS_GetRuntime(context));
	return JS_UNDEFINED;
}

static const JSCFunctionListEntry FUNCTIONS[] = {
	JS_CFUNC_DEF("syscall", 7, door_syscall),
	JS_CFUNC_DEF("address", 1, door_address),
	JS_CFUNC_DEF("encode", 1, door_encode),
	JS_CFUNC_DEF("encodeInto", 4, door_encode_into),
	JS_CFUNC_DEF("decode", 1, door_decode),
	JS_CFUNC_DEF("latin1", 1, door_latin1),
	JS_CFUNC_DEF("sha256", 1, door_sha256),
	JS_CFUNC_DEF("spawn", 6, door_spawn),
	JS_CFUNC_DEF("keepTerminal", 2, door_keep_terminal),
	JS_CFUNC_DEF("collect", 0, door_collect),
	JS_CFUNC_MAGIC_DEF("onStart", 1, door_keep, 0),
	JS_CFUNC_MAGIC_DEF("onIdle", 1, door_keep, 1),
	JS_CFUNC_MAGIC_DEF("onUncaught", 1, door_keep, 2),
};

/* Learns which classes are views of memory: they have numbers in a row. */
static void learn_views(JSContext *context)
{
	JSValue buffer = JS_NewArrayBufferCopy(context, NULL, 0);
	JSValueConst whole[] = {buffer, JS_UNDEFINED, JS_UNDEFINED};
	JSValue first = JS_NewTypedArray(context, 3, whole, JS_TYPED_ARRAY_UINT8C);
	JSValue last = JS_NewTypedArray(context, 3, whole, JS_TYPED_ARRAY_FLOAT64);

	image->first_view_class = (uint32_t)JS_GetClassID(first);
	image->last_view_class = (uint32_t)JS_GetClassID(last);
	JS_FreeValue(context, first);
	JS_FreeValue(context, last);
	JS_FreeValue(context, buffer);
}

/* Makes the object `host`. */
void door_init(JSContext *context)
{
	JSValue global = JS_GetGlobalObject(context);

	image->start = image->turn = image->uncaught = JS_UNDEFINED;
	image->host = JS_NewObject(context);
	JS_SetPropertyFunctionList(context, image->host, FUNCTIONS,
		sizeof(FUNCTIONS) / sizeof(*FUNCTIONS));
#ifdef __aarch64__
	JS_SetPropertyStr(context, image->host, "arch", JS_NewString(context, "arm64"));
#else
	JS_SetPropertyStr(context, image->host, "arch", JS_NewString(context, "x64"));
#endif
	JS_SetPropertyStr(context, global, "host", JS_DupValue(context, image->host));
	JS_FreeValue(context, global);
	learn_views(context);
}
