#include "base/obj.h"

#include <stdio.h>
#include <stdlib.h>

void obj_panic(const char *file, int line, const char *what)
{
	fprintf(stderr, "weir: %s:%d: %s\n", file, line, what);
	abort();
}
