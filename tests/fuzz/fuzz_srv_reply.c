/* DNS answers out of arbitrary bytes: every byte of them may be a lie. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "io/srv_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct srv_answer a;

	if (!srv_reply_parse(&a, data, size) && a.n > 0)
		abort();
	for (uint32_t i = 0; i < a.n; i++)
		if (strlen(a.v[i].target) == 0 || a.v[i].port == 0)
			abort();
	return 0;
}
