/* The host of the short commands: QuickJS, one door to the kernel, and the heap image. */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <quickjs/quickjs.h>

/*
 * The heap image: all memory of the engine while its modules are evaluated. The build writes it
 * into a copy of the executable; a start finds everything evaluated. It therefore holds no pointer
 * to anything but itself and the code, which is linked at fixed addresses, and nothing that a
 * process has of its own.
 */
#define IMAGE_BYTES (8u << 20)
#define SIZE_CLASSES 72

struct heap {
	char *next, *end; /* memory that was never handed out */
	void *freed[SIZE_CLASSES];
};

struct image {
	uint32_t is_written; /* the build has finished: a start needs to evaluate nothing */
	uint32_t first_view_class, last_view_class;
	struct heap heap;
	JSRuntime *runtime;
	JSContext *context;
	JSValue host; /* the object of the door */
	JSValue start, turn, uncaught; /* functions that were given to it */
	_Alignas(16) char memory[];
};

extern struct image *const image;

/* memory.c */
void heap_init(void);
extern const JSMallocFunctions heap_functions;

/* door.c */
void door_init(JSContext *context);

/* text.c */
JSValue text_decode(JSContext *context, const uint8_t *bytes, size_t length);
JSValue text_decode_latin1(JSContext *context, const uint8_t *bytes, size_t length);
size_t text_mend(char *bytes, size_t length);

/* sha256.c */
void sha256(const uint8_t *bytes, size_t length, uint8_t digest[32]);

/* spawn.c */
struct spawn {
	const char *path, *directory; /* directory: NULL for ours */
	char **argv, **envp;
	const int *fds; /* what the child has as 0, 1, 2, … */
	size_t fd_count;
	bool new_session;
};
int spawn(const struct spawn *child);

#endif
