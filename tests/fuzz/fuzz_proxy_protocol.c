/* The PROXY protocol parser: never reads beyond what is there, says the same however the bytes are cut, and understands what
 * the writer writes. */
#include <stdint.h>
#include <stdlib.h>
#include "base/obj.h"
#include "io/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum proxy_parse parse_copy(const uint8_t *data, size_t n, struct proxy_header *h)
{
	uint8_t *copy = malloc(n ? n : 1); /* of its own size: the sanitizer guards its end */
	enum proxy_parse result;

	MUST(copy);
	if (n)
		memcpy(copy, data, n);
	result = proxy_protocol_parse(copy, n, h);
	free(copy);
	return result;
}

static bool same(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->port == b->port && addr_eq_ip(a, b);
}

static void check_round_trip(const struct proxy_header *h)
{
	char out[PROXY_WRITE_MAX];
	struct proxy_header again;

	for (int version = 1; version <= 2; version++) {
		size_t n = proxy_protocol_write(version, &h->src, &h->dst, out);

		MUST(proxy_protocol_parse((uint8_t *)out, n, &again) == PROXY_DONE && again.bytes == n);
		MUST(again.names && same(&again.src, &h->src) && same(&again.dst, &h->dst));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct proxy_header h, part;
	enum proxy_parse result;

	if (n > PROXY_HEADER_MAX)
		n = PROXY_HEADER_MAX;
	result = parse_copy(data, n, &h);
	if (result == PROXY_MORE)
		MUST(n < PROXY_HEADER_MAX);
	if (result == PROXY_DONE) {
		MUST(h.bytes > 0 && h.bytes <= n);
		for (size_t cut = 0; cut < h.bytes; cut++)
			MUST(parse_copy(data, cut, &part) == PROXY_MORE);
		MUST(parse_copy(data, h.bytes, &part) == PROXY_DONE && part.bytes == h.bytes);
		if (h.names)
			check_round_trip(&h);
	}
	return 0;
}
