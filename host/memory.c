/*
 * The engine's memory: blocks of the heap image, and when that is full, of memory from the kernel.
 * Sizes are rounded up to a class; a freed block waits for the next of its class. Larger blocks
 * come from the kernel alone, except while the image is made.
 *
 *   | size | block …
 *           block % 16 == 0; the word before it is its room in bytes, or with LARGE set that of a
 *           mapping
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include "host.h"

#define WORD sizeof(size_t)
#define LARGE ((size_t)1 << 63)
#define LARGE_BYTES ((size_t)128 << 10)
#define MORE_BYTES ((size_t)256 << 10)
#define HEAD 16 /* before a mapping's block */
#define MAX_CLASS_BYTES ((size_t)1 << 40)

static union {
	struct image image;
	char bytes[IMAGE_BYTES];
} region __attribute__((section(".heapimage"), aligned(4096)));

struct image *const image = &region.image;

void heap_init(void)
{
	image->heap.next = image->memory;
	image->heap.end = region.bytes + IMAGE_BYTES;
}

/*
 * The class of a size: multiples of 16 up to 256, then four to each power of two. Returns the class
 * and its room, which is a multiple of 16 less a word.
 */
static unsigned class_of(size_t size, size_t *room)
{
	size_t whole = (size + WORD + 15) & ~(size_t)15;
	unsigned bits, step;

	if (whole <= 256) {
		*room = whole - WORD;
		return (unsigned)(whole / 16 - 1);
	}
	bits = 63 - (unsigned)__builtin_clzl(whole - 1); /* 2^bits < whole <= 2^(bits + 1) */
	step = (unsigned)((whole - 1) >> (bits - 2)) & 3;
	*room = ((size_t)(5 + step) << (bits - 2)) - WORD;
	return 16 + (bits - 8) * 4 + step;
}

static size_t *word_before(const void *block)
{
	return (size_t *)block - 1;
}

static size_t usable(const void *block)
{
	return block ? *word_before(block) & ~LARGE : 0;
}

static void *map_large(size_t size)
{
	char *start = mmap(NULL, size + HEAD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);

	if (start == MAP_FAILED)
		return NULL;
	*word_before(start + HEAD) = size | LARGE;
	return start + HEAD;
}

/* Takes new memory when the present piece is used up; what is left of that is lost. */
static bool more_memory(struct heap *heap)
{
	char *start;

	if (!image->is_written)
		return false; /* IMAGE_BYTES is too small: the build fails */
	start = mmap(NULL, MORE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED)
		return false;
	heap->next = start;
	heap->end = start + MORE_BYTES;
	return true;
}

static void *take(size_t size)
{
	struct heap *heap = &image->heap;
	size_t room;
	unsigned class;
	void *block;

	if (size > MAX_CLASS_BYTES)
		return NULL;
	if (size >= LARGE_BYTES && image->is_written)
		return map_large(size);
	class = class_of(size, &room);
	if (class < SIZE_CLASSES && heap->freed[class]) {
		block = heap->freed[class];
		memcpy(&heap->freed[class], block, sizeof(void *));
		return block;
	}
	if ((size_t)(heap->end - heap->next) < room + WORD + 15 && !more_memory(heap))
		return NULL;
	block = (void *)(((uintptr_t)heap->next + WORD + 15) & ~(uintptr_t)15);
	*word_before(block) = room;
	heap->next = (char *)block + room;
	return block;
}

static void give_back(void *block)
{
	size_t room;
	unsigned class;

	if (!block)
		return;
	if (*word_before(block) & LARGE) {
		munmap((char *)block - HEAD, usable(block) + HEAD);
		return;
	}
	class = class_of(usable(block), &room);
	if (class >= SIZE_CLASSES)
		return; /* made while the image was, and larger than what is reused */
	memcpy(block, &image->heap.freed[class], sizeof(void *));
	image->heap.freed[class] = block;
}

static void count(JSMallocState *state, void *block)
{
	if (block) {
		state->malloc_count++;
		state->malloc_size += usable(block) + WORD;
	}
}

static void uncount(JSMallocState *state, const void *block)
{
	if (block) {
		state->malloc_count--;
		state->malloc_size -= usable(block) + WORD;
	}
}

static void *heap_malloc(JSMallocState *state, size_t size)
{
	void *block = state->malloc_size + size > state->malloc_limit ? NULL : take(size);

	count(state, block);
	return block;
}

static void heap_free(JSMallocState *state, void *block)
{
	uncount(state, block);
	give_back(block);
}

static void *heap_realloc(JSMallocState *state, void *block, size_t size)
{
	size_t old = usable(block);
	void *moved;

	if (size == 0) {
		heap_free(state, block);
		return NULL;
	}
	if (block && size <= old && (size >= old / 2 || old < 64))
		return block;
	moved = heap_malloc(state, size);
	if (!moved)
		return NULL;
	if (block)
		memcpy(moved, block, old < size ? old : size);
	heap_free(state, block);
	return moved;
}

const JSMallocFunctions heap_functions = {heap_malloc, heap_free, heap_realloc, usable};
