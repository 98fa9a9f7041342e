/* Frames of a WebSocket out of arbitrary bytes: the same end is found however the bytes are cut. */
#include <stdint.h>
#include <stdlib.h>
#include "base/obj.h"
#include "http/ws_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t pass(struct ws_frames *f, const uint8_t *p, size_t n, bool to_end, struct mem *m)
{
	struct chain c = {0};
	size_t seen;

	chain_add_copy(m, &c, (const char *)p, n);
	seen = ws_frames_pass(f, &c, to_end);
	MUST(seen <= n);
	chain_clear(m, &c);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ws_frames whole = {0}, cut = {0}, single = {0};
	struct mem m;
	size_t at = 0;

	mem_init(&m);
	pass(&whole, data, n, false, &m);
	for (size_t i = 0; i < n; i++)
		pass(&cut, data + i, 1, false, &m);
	MUST(whole.left == cut.left && whole.head_n == cut.head_n && whole.closed == cut.closed);
	/* Frame by frame: each step goes as far as an end, or as there are bytes. */
	while (at < n) {
		size_t step = pass(&single, data + at, n - at, true, &m);

		at += step;
		MUST(at == n || ws_frames_between(&single) || single.closed);
		if (step == 0)
			break;
	}
	mem_free(&m);
	return 0;
}
