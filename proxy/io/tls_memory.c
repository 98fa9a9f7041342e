#include "io/tls_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RECYCLE false
#else
#define RECYCLE true
#endif

/* Up to SMALL malloc has a per-thread cache of its own. */
#define SMALL   1024
#define LARGE   20480
#define STEP    512
#define CLASSES (LARGE / STEP + 1)
#define KEEP    16 /* of one class */

struct free_block {
	struct free_block *next;
};

struct free_list {
	struct free_block *first;
	uint32_t n;
};

static _Thread_local struct free_list lists[CLASSES];

static bool listed(size_t n)
{
	return n > SMALL && n <= LARGE;
}

static size_t rounded(size_t n)
{
	return listed(n) ? (n + STEP - 1) / STEP * STEP : n;
}

static void *take(size_t n, const char *file, int line)
{
	struct free_list *l = &lists[listed(n) ? rounded(n) / STEP : 0];
	struct free_block *b = l->first;

	(void)file;
	(void)line;
	if (!b)
		return malloc(rounded(n));
	l->first = b->next;
	l->n--;
	return b;
}

static void give(void *p, const char *file, int line)
{
	/* Rounded sizes are multiples of STEP, and malloc adds less than STEP: dividing gives the class back. */
	size_t class = p ? malloc_usable_size(p) / STEP : 0;
	struct free_block *b = p;

	(void)file;
	(void)line;
	if (class <= SMALL / STEP || class >= CLASSES || lists[class].n >= KEEP) {
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
