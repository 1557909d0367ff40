/*
 * Runs the short commands: `src/small.ts` and all that it imports, compiled by compile.c.
 *
 *   build:  PROGRAM --write-image BYTECODE OUT
 *           evaluates the modules and writes OUT, a copy of the program with them in it
 *   start:  OUT ARG...
 *           calls what was given to host.onStart, and turns until nothing is left to do
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include "host.h"

#define GC_THRESHOLD (16u << 20) /* a command ends before */
#define STACK_BYTES (64u << 20) /* only what is used costs memory */
#define STACK_SPARE_BYTES (512u << 10) /* for C, and for handlers */
#define EXIT_BUG 125
#define REJECTIONS 64

extern char **environ;

/* The engine seeds Math.random with the time: an image would differ from the one built before. */
int __real_gettimeofday(struct timeval *time, void *zone);
int __wrap_gettimeofday(struct timeval *time, void *zone);
int __wrap_gettimeofday(struct timeval *time, void *zone)
{
	if (image->is_written)
		return __real_gettimeofday(time, zone);
	*time = (struct timeval){0};
	return 0;
}

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_BUG);
}

static void print(JSContext *context, JSValueConst value)
{
	const char *text = JS_ToCString(context, value);

	fprintf(stderr, "%s\n", text ? text : "an exception that has no text");
	JS_FreeCString(context, text);
}

/* An error that nobody has caught: TypeScript words it, gives the terminal back and exits. */
static _Noreturn void die_of(JSContext *context, JSValueConst error)
{
	JSValue stack = JS_UNDEFINED;

	if (JS_IsFunction(context, image->uncaught))
		JS_Call(context, image->uncaught, JS_UNDEFINED, 1, &error);
	print(context, error); /* it has not done so, or cannot */
	stack = JS_GetPropertyStr(context, error, "stack");
	if (!JS_IsUndefined(stack))
		print(context, stack);
	exit(EXIT_BUG);
}

/* Promises that were rejected and that nobody has looked at yet. */
static struct {
	JSValue promise, reason;
} rejections[REJECTIONS];
static size_t rejection_count;

static void track_rejection(JSContext *context, JSValueConst promise, JSValueConst reason,
	JS_BOOL is_handled, void *opaque)
{
	(void)opaque;
	if (!is_handled) {
		if (rejection_count == REJECTIONS)
			die_of(context, reason);
		rejections[rejection_count].promise = JS_DupValue(context, promise);
		rejections[rejection_count++].reason = JS_DupValue(context, reason);
		return;
	}
	for (size_t i = 0; i < rejection_count; i++)
		if (JS_VALUE_GET_PTR(rejections[i].promise) == JS_VALUE_GET_PTR(promise)) {
			JS_FreeValue(context, rejections[i].promise);
			JS_FreeValue(context, rejections[i].reason);
			rejections[i] = rejections[--rejection_count];
			return;
		}
}

/* Runs what is due at once; then nobody may have been left with a rejected promise. */
static void run_jobs(JSContext *context)
{
	JSContext *of;

	for (;;) {
		int done = JS_ExecutePendingJob(JS_GetRuntime(context), &of);

		if (done < 0)
			die_of(context, JS_GetException(context));
		if (done == 0)
			break;
	}
	if (rejection_count > 0)
		die_of(context, rejections[0].reason);
}

static void call(JSContext *context, JSValueConst function, bool *goes_on)
{
	JSValue result = JS_Call(context, function, JS_UNDEFINED, 0, NULL);

	if (JS_IsException(result))
		die_of(context, JS_GetException(context));
	*goes_on = JS_ToBool(context, result) == 1;
	JS_FreeValue(context, result);
}

static JSValue list_of(JSContext *context, char **texts)
{
	JSValue list = JS_NewArray(context);

	for (uint32_t i = 0; texts[i]; i++)
		JS_SetPropertyUint32(context, list, i, text_decode(context,
			(const uint8_t *)texts[i], strlen(texts[i])));
	return list;
}

/*
 * Runs `work` on a stack of its own. The engine takes 1.7 KB of it for each call of TypeScript, so
 * what RLIMIT_STACK usually gives is not much; and the limit is not ours to raise: children get it.
 */
static void on_stack(char *stack, size_t size, void (*work)(void))
{
	ucontext_t here, there;

	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = size;
	there.uc_link = &here;
	makecontext(&there, work, 0);
	swapcontext(&here, &there);
}

static char **arguments;

static void run(void)
{
	JSContext *context = image->context;
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	bool goes_on;

	JS_UpdateStackTop(image->runtime);
	JS_SetMaxStackSize(image->runtime, STACK_BYTES - STACK_SPARE_BYTES);
	JS_SetHostPromiseRejectionTracker(image->runtime, track_rejection, NULL);
	sigaction(SIGPIPE, &ignore, NULL); /* a write says EPIPE */
	JS_SetPropertyStr(context, image->host, "argv", list_of(context, arguments));
	JS_SetPropertyStr(context, image->host, "environ", list_of(context, environ));
	JS_SetPropertyStr(context, image->host, "argvAt",
			  JS_NewInt64(context, (int64_t)(intptr_t)arguments));
	JS_SetPropertyStr(context, image->host, "environAt",
			  JS_NewInt64(context, (int64_t)(intptr_t)environ));
	call(context, image->start, &goes_on);
	do {
		run_jobs(context);
		call(context, image->turn, &goes_on);
	} while (goes_on);
}

static int start(char **argv)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		fail("a stack");
	arguments = argv;
	on_stack(stack, STACK_BYTES, run);
	return 0;
}

/* ---- while building ---- */

static uint8_t *read_file(const char *path, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	uint8_t *bytes;

	if (fd < 0 || fstat(fd, &status) < 0)
		fail(path);
	bytes = malloc((size_t)status.st_size + 1);
	*length = 0;
	while (bytes && *length < (size_t)status.st_size) {
		ssize_t count = read(fd, bytes + *length, (size_t)status.st_size - *length);

		if (count <= 0)
			fail(path);
		*length += (size_t)count;
	}
	if (!bytes)
		fail(path);
	close(fd);
	return bytes;
}

static void update_stack_top(void)
{
	JS_UpdateStackTop(image->runtime);
}

/*
 * What a process has of its own must not be in the image: the stack's address comes from a stack
 * at a fixed one.
 */
static void forget_process(void)
{
	static char stack[65536];

	on_stack(stack, sizeof(stack), update_stack_top);
	JS_SetHostPromiseRejectionTracker(image->runtime, NULL, NULL);
}

/* Where in the file of the program an address is. */
static size_t file_offset(const uint8_t *elf, const void *address)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)elf;
	const Elf64_Phdr *parts = (const Elf64_Phdr *)(const void *)(elf + header->e_phoff);
	uintptr_t wanted = (uintptr_t)address;

	for (int i = 0; i < header->e_phnum; i++)
		if (parts[i].p_type == PT_LOAD && wanted >= parts[i].p_vaddr &&
		    wanted + IMAGE_BYTES <= parts[i].p_vaddr + parts[i].p_filesz)
			return wanted - parts[i].p_vaddr + parts[i].p_offset;
	errno = ENOEXEC;
	fail("the heap image is not in the file");
	return 0;
}

static void write_image(const char *path)
{
	size_t length, done = 0;
	uint8_t *elf = read_file("/proc/self/exe", &length);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0)
		fail(path);
	image->is_written = 1;
	memcpy(elf + file_offset(elf, image), image, IMAGE_BYTES);
	while (done < length) {
		ssize_t count = write(fd, elf + done, length - done);

		if (count <= 0)
			fail(path);
		done += (size_t)count;
	}
	if (close(fd) < 0)
		fail(path);
}

static JSContext *new_context(void)
{
	JSContext *context;

	heap_init();
	image->runtime = JS_NewRuntime2(&heap_functions, NULL);
	JS_SetGCThreshold(image->runtime, GC_THRESHOLD);
	JS_SetMaxStackSize(image->runtime, 0);
	JS_SetHostPromiseRejectionTracker(image->runtime, track_rejection, NULL);
	image->context = context = JS_NewContextRaw(image->runtime);
	JS_AddIntrinsicBaseObjects(context);
	JS_AddIntrinsicDate(context);
	JS_AddIntrinsicStringNormalize(context);
	JS_AddIntrinsicRegExpCompiler(context);
	JS_AddIntrinsicRegExp(context);
	JS_AddIntrinsicJSON(context);
	JS_AddIntrinsicProxy(context);
	JS_AddIntrinsicMapSet(context);
	JS_AddIntrinsicTypedArrays(context);
	JS_AddIntrinsicPromise(context);
	JS_AddIntrinsicWeakRef(context); /* no JS_AddIntrinsicEval: text never becomes code */
	return context;
}

static int build(const char *bytecode, const char *out)
{
	JSContext *context = new_context();
	size_t length;
	uint8_t *bytes = read_file(bytecode, &length);
	JSValue module, result;

	door_init(context);
	module = JS_ReadObject(context, bytes, length, JS_READ_OBJ_BYTECODE);
	if (JS_IsException(module) || JS_ResolveModule(context, module) < 0)
		die_of(context, JS_GetException(context));
	result = JS_EvalFunction(context, module);
	if (JS_IsException(result))
		die_of(context, JS_GetException(context));
	run_jobs(context);
	if (JS_PromiseState(context, result) == JS_PROMISE_REJECTED)
		die_of(context, JS_PromiseResult(context, result));
	JS_FreeValue(context, result);
	JS_RunGC(image->runtime);
	fprintf(stderr, "image: %zu of %u KB\n", (size_t)(image->heap.next - (char *)image) / 1024,
		IMAGE_BYTES / 1024);
	forget_process();
	write_image(out);
	return 0;
}

int main(int argc, char **argv)
{
	if (image->is_written)
		return start(argv);
	if (argc != 4 || strcmp(argv[1], "--write-image") != 0) {
		fprintf(stderr, "usage: %s --write-image BYTECODE OUT\n", argv[0]);
		return EXIT_BUG;
	}
	return build(argv[2], argv[3]);
}
