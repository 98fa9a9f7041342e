/* tests/unit/unit.h - what every unit test includes: cmocka with its prerequisites, and str comparisons. */
#ifndef WEIR_TESTS_UNIT_H
#define WEIR_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/str.h"

#define assert_str(got, want) \
	do { \
		struct str got_ = (got), want_ = str_of(want); \
		if (!str_eq(got_, want_)) \
			fail_msg( \
				"got \"" STR_FMT "\", want \"" STR_FMT "\"", STR_ARG(got_), STR_ARG(want_)); \
	} while (0)

#endif
