/* route/pin.h - a user's pool, kept by his browser: `weir_pin_SERVICE=POOL.EXPIRY.SIGNATURE`, where EXPIRY is seconds since 1970.
 *
 * Signed for one service (route/cookie.h), so it means nothing at another, and nobody can choose a pool with it that he was not given.
 * It is given anew before it runs out while the user keeps coming: `split.pin` is how long he may stay away. */
#ifndef WEIR_ROUTE_PIN_H
#define WEIR_ROUTE_PIN_H

#include "route/cookie.h"
#include "route/service.h"

#define PIN_COOKIE   "weir_pin_"
#define PIN_TEXT_MAX 128 /* POOL.EXPIRY.SIGNATURE */

struct pin {
	const struct pool
		*pool; /* NULL: there is no pin, or it is not believed, or over, or its pool is gone */
	bool renew; /* half of its time is over, or it was signed with a former key: give it anew */
};

/* What the request brings for a service whose configuration has `pin`. now_s: seconds since 1970. */
struct pin pin_read(
	const struct cookie_keys *k, const struct service *service, const struct head *head, uint64_t now_s);
/* The cookie's value for that pool of the service, to be given with a Max-Age of pin_age(). */
struct str pin_write(const struct cookie_keys *k, const struct service *service, const struct pool *pool,
	uint64_t now_s, char text[PIN_TEXT_MAX]);
/* Seconds. */
uint32_t pin_age(const struct service *service);

#endif
