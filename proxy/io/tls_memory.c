#include "io/tls_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/obj.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RECYCLE false
#else
#define RECYCLE true
#endif

/* Blocks of up to SMALL bytes are of the sizes that malloc makes them, 24, 40, 56..., larger ones of multiples of STEP. */
#define SMALL         1032
#define SMALL_STEP    16
#define SMALL_CLASSES (SMALL / SMALL_STEP + 1)
#define LARGE         20480
#define STEP          512
#define CLASSES       (SMALL_CLASSES + LARGE / STEP + 1)
#define KEEP          16 /* of one class */

struct free_block {
	struct free_block *next;
};

struct free_list {
	struct free_block *first;
	uint32_t n;
};

static _Thread_local struct free_list lists[CLASSES];

/* The class whose blocks have room for n bytes; CLASSES: those are malloc's. */
static size_t class_for(size_t n)
{
	if (n <= SMALL)
		return (MAX(n, SMALL_STEP) + SMALL_STEP / 2 - 1) / SMALL_STEP;
	return n <= LARGE ? SMALL_CLASSES + (n + STEP - 1) / STEP : CLASSES;
}

/* The largest class for which a block with that much room will do. */
static size_t class_of(size_t room)
{
	if (room < SMALL + STEP)
		return (MIN(room, SMALL) - SMALL_STEP / 2) / SMALL_STEP;
	return room < LARGE + STEP ? SMALL_CLASSES + room / STEP : CLASSES;
}

static size_t rounded(size_t n)
{
	return n > SMALL && n <= LARGE ? (n + STEP - 1) / STEP * STEP : n;
}

static void *take(size_t n, const char *file, int line)
{
	size_t class = class_for(n);
	struct free_block *b = class < CLASSES ? lists[class].first : NULL;

	(void)file;
	(void)line;
	if (!b)
		return malloc(rounded(n));
	lists[class].first = b->next;
	lists[class].n--;
	return b;
}

static void give(void *p, const char *file, int line)
{
	/* Of a class is also what malloc made larger than it was asked for. */
	size_t class = p ? class_of(malloc_usable_size(p)) : CLASSES;
	struct free_block *b = p;

	(void)file;
	(void)line;
	if (class >= CLASSES || lists[class].n >= KEEP) {
		free(p);
		return;
	}
	b->next = lists[class].first;
	lists[class].first = b;
	lists[class].n++;
}

static void *resize(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return realloc(p, rounded(n));
}

bool tls_memory_install(void)
{
	return RECYCLE && CRYPTO_set_mem_functions(take, resize, give) == 1;
}

void tls_memory_trim(void)
{
	for (size_t class = 0; class < CLASSES; class ++) {
		while (lists[class].first) {
			struct free_block *b = lists[class].first;

			lists[class].first = b->next;
			free(b);
		}
		lists[class].n = 0;
	}
}
