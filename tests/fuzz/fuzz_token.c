/* Tokens and the keys for them out of arbitrary text: "KEYS\nTOKEN". What is believed was signed; nothing is left behind. */
#include <stdint.h>
#include <stdlib.h>
#include "../../modules/base64.h"
#include "../../modules/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_decode(size_t (*decode)(struct str, uint8_t *, size_t), struct str text)
{
	size_t room = text.n;
	uint8_t *bytes = malloc(room ? room : 1); /* of its own size: the sanitizer guards its end */

	MUST(bytes);
	MUST(decode(text, bytes, room) <= room);
	if (room > 1)
		MUST(decode(text, bytes, room / 2) <= room / 2);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data, *end = n ? memrchr(text, '\n', n) : NULL;
	struct str keys = {text, end ? (size_t)(end - text) : 0};
	struct str token = {end ? end + 1 : text, n - keys.n - !!end};
	struct jwks all = {0};
	const struct jwks *sets[] = {&all};
	json_t *claims = NULL;
	char err[256];

	if (!jwks_parse(&all, keys, err, sizeof(err)))
		MUST(memchr(err, '\0', sizeof(err)));
	MUST(all.n <= JWKS_MAX);
	if (jws_verify(token, sets, 1, &claims) == JWS_GOOD)
		MUST(all.n > 0 && json_is_object(claims));
	else
		MUST(!claims);
	json_decref(claims);
	check_decode(base64_decode, token);
	check_decode(base64url_decode, token);
	jwks_free(&all);
	return 0;
}
