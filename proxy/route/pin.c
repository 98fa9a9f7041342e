#include "route/pin.h"

#include "base/obj.h"

uint32_t pin_age(const struct service *service)
{
	return service->conf->split.pin / 1000 + (service->conf->split.pin % 1000 > 0);
}

/* "POOL.EXPIRY"; names may hold dots themselves. */
static bool take_apart(struct str value, struct str *name, uint64_t *expiry)
{
	size_t dot = value.n;

	while (dot > 0 && value.p[dot - 1] != '.')
		dot--;
	if (dot == 0 || !str_to_u64(str_skip(value, dot), expiry))
		return false;
	*name = str_head(value, dot - 1);
	return true;
}

struct pin pin_read(
	const struct cookie_keys *k, const struct service *service, const struct head *head, uint64_t now_s)
{
	struct str cookie = cookie_value(head, service->pin_cookie), value, name;
	uint64_t expiry, age = pin_age(service);
	struct pin pin = {0};
	uint32_t key;

	if (cookie.n == 0)
		return pin;
	key = cookie_verify(k, service->slot->key, cookie, &value);
	if (key == COOKIE_UNKNOWN || !take_apart(value, &name, &expiry) || expiry <= now_s)
		return pin;
	pin.pool = service_pool(service, name);
	/* One that lasts longer than pins do now was given when they did, or by a clock that was ahead. */
	pin.renew = key > 0 || expiry - now_s < age / 2 || expiry - now_s > age;
	return pin;
}

struct str pin_write(const struct cookie_keys *k, const struct service *service, const struct pool *pool,
	uint64_t now_s, char text[PIN_TEXT_MAX])
{
	struct text t = text_in(text, PIN_TEXT_MAX);
	char signature[COOKIE_SIGNATURE];

	text_put(&t, pool->conf->name);
	text_char(&t, '.');
	text_u64(&t, now_s + pin_age(service));
	cookie_sign(k, service->slot->key, text_str(&t), signature);
	text_char(&t, '.');
	text_put(&t, (struct str){signature, sizeof(signature)});
	MUST(!t.cut); /* names have at most 63 characters */
	return text_str(&t);
}
