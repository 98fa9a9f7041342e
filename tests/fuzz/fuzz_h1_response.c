/* Responses out of arbitrary bytes, to a GET: a connection delivers the same complete answers whole and in pieces, and never a
 * complete one where the bytes ended early. */
#include "h1_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n <= 65536)
		h1_log_compare(false, data, n);
	return 0;
}
