/* Cookies that clients make up: "NAME\nCOOKIE". Nothing is believed that was not signed here, whatever is put around it. */
#include <stdint.h>
#include <stdlib.h>
#include "base/obj.h"
#include "route/cookie.h"

#define VALUE_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool lies_in(struct str inner, struct str outer)
{
	return inner.n == 0 || (inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n);
}

/* Our own is believed, and not with one byte changed. */
static void check_own(const struct cookie_keys *keys, struct str purpose, struct str value)
{
	char cookie[VALUE_MAX + 1 + COOKIE_SIGNATURE];
	struct str whole = {cookie, value.n + 1 + COOKIE_SIGNATURE}, found;

	if (value.n == 0 || value.n > VALUE_MAX)
		return;
	memcpy(cookie, value.p, value.n);
	cookie[value.n] = '.';
	cookie_sign(keys, purpose, value, cookie + value.n + 1);
	MUST(cookie_verify(keys, purpose, whole, &found) == 0 && str_eq(found, value));
	cookie[value.n / 2] ^= 1;
	MUST(cookie_verify(keys, purpose, whole, &found) == COOKIE_UNKNOWN && found.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct cookie_keys *keys;
	const char *text = (const char *)data, *end = n ? memchr(text, '\n', n) : NULL;
	struct str name = {text, end ? (size_t)(end - text) : 0};
	struct str cookie = {end ? end + 1 : text, n - name.n - !!end};
	struct head head = {0};
	struct field field;
	struct str value;

	if (!keys)
		keys = cookie_keys_new(&STR("a secret for the fuzzer alone"), 1);
	MUST(cookie_verify(keys, STR("pin"), cookie, &value) == COOKIE_UNKNOWN && value.n == 0);
	check_own(keys, name, cookie);
	field = (struct field){.id = FIELD_COOKIE, .value = cookie.p, .value_len = (uint32_t)cookie.n};
	head.fields = (struct fields){&field, 1, 1};
	MUST(lies_in(cookie_value(&head, name), cookie));
	return 0;
}
