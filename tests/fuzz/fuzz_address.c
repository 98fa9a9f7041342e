/* Addresses and networks out of arbitrary text, one to a line: what is read is written the same, and a network has its own address. */
#include <stdint.h>
#include <stdlib.h>
#include "../../modules/networks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_address(struct str line)
{
	char text[ADDR_TEXT_MAX];
	struct addr a, again;

	if (addr_parse(&a, line)) {
		MUST(addr_parse(&again, addr_text(&a, text)));
		MUST(again.port == a.port && addr_eq_ip(&a, &again));
	}
	if (addr_parse_ip(&a, line)) {
		MUST(addr_parse_ip(&again, addr_ip_text(&a, text)));
		MUST(addr_eq_ip(&a, &again));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct networks all = {0};
	const char *p = (const char *)data, *end = p + n;
	uint8_t mark = 1;

	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		struct str line = {p, (size_t)((stop ? stop : end) - p)};
		struct cidr net;

		check_address(line);
		if (cidr_parse(&net, line)) {
			MUST(net.bits <= (net.net.family == ADDR_IP4 ? 32 : 128));
			MUST(cidr_has(&net, &net.net));
			networks_add(&all, &net, mark);
			MUST(networks_find(&all, &net.net) > 0);
			mark = mark == UINT8_MAX ? 1 : mark + 1;
		}
		p = stop ? stop + 1 : end;
	}
	networks_free(&all);
	return 0;
}
