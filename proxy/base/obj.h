/* base/obj.h - magic numbers for long-lived structs, and the macros that go with ownership.
 *
 * A struct that outlives the call that made it begins its life with a magic number and loses it when it is
 * freed, so that a stale or mistyped pointer is caught at the border where it is handed over, not three
 * callbacks later. The checks are a compare and a branch; they stay on in release builds. */
#ifndef WEIR_BASE_OBJ_H
#define WEIR_BASE_OBJ_H

#include <stddef.h>
#include <stdint.h>

/* Prints where and what, then aborts: SIGABRT carries the text as its value, for the crash report. */
_Noreturn void obj_panic(const char *file, int line, const char *what);

#define OBJ_CHECK(p, want) \
	do { \
		if (__builtin_expect((p) == NULL || (p)->magic != (want), 0)) \
			obj_panic(__FILE__, __LINE__, #p " is not a live " #want); \
	} while (0)

/* Like assert(), but never compiled out: for what must hold or the data of one tenant reaches another. */
#define MUST(cond) \
	do { \
		if (__builtin_expect(!(cond), 0)) \
			obj_panic(__FILE__, __LINE__, "must hold: " #cond); \
	} while (0)

/* Takes what *pp owns and leaves NULL behind: `struct conn *c = TAKE(cp);` */
#define TAKE(pp) \
	({ \
		__typeof__(*(pp)) taken_ = *(pp); \
		*(pp) = NULL; \
		taken_; \
	})

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define COUNT_OF(a)                  (sizeof(a) / sizeof((a)[0]))
#define BIT(n)                       (1u << (n))
#define MIN(a, b)                    ((a) < (b) ? (a) : (b))
#define MAX(a, b)                    ((a) > (b) ? (a) : (b))

#endif
