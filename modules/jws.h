/* modules/jws.h - a signed token (RFC 7515, RFC 7519): taken apart, its signature verified. */
#ifndef WEIR_MODULES_JWS_H
#define WEIR_MODULES_JWS_H

#include <jansson.h>
#include "jwk.h"

#define JWS_MAX (16u * 1024) /* of a token */

enum jws_error {
	JWS_GOOD,
	JWS_MALFORMED, /* it is no token in compact form */
	JWS_ALGORITHM, /* `none`, a symmetric one, one that is not known, or `crit` */
	JWS_UNKNOWN_KEY, /* no key fits it */
	JWS_SIGNATURE, /* a key fits, and did not sign this */
};

/* "malformed", ...: for logs. */
struct str jws_error_text(enum jws_error e);
/* JWS_GOOD: *claims is the payload, an object, the caller's. */
enum jws_error jws_verify(struct str token, const struct jwks *const *sets, uint32_t set_n, json_t **claims);
/* The payload of a token that was good before, whose signature is not looked at. */
enum jws_error jws_claims(struct str token, json_t **claims);

#endif
