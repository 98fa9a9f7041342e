/* The HTTP/2 server role: no bytes of a client's, however they are cut, make it crash, leak, or tell its owner what is not so. */
#include "fuzz/fuzz_h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t settings[H2_FRAME_HEADER] = {0, 0, 0, H2_FRAME_SETTINGS, 0, 0, 0, 0, 0};
	struct transport *t = &fuzz.ft.t;

	if (n < 4)
		return 0;
	fuzz_start(h2_get32(data));
	fuzz.conn = h2_server(&t, NULL, &fuzz_limits, &fuzz_conn_owner, NULL);
	/* Most inputs are about what comes after the preface. */
	if (data[0] & 15) {
		fake_put(&fuzz.ft, H2_PREFACE, H2_PREFACE_LEN);
		fake_feed(&fuzz.ft, settings, sizeof(settings));
	}
	fuzz_play(data + 4, n - 4);
	fuzz_end();
	return 0;
}
