/* control/cookie_secret.h - the secret that weir makes for itself to sign its cookies with, where the configuration names none: the file
 * `cookie.key` in state_dir, 64 hexadecimal digits, for nobody else's eyes.
 *
 * Read, or made, once at the start, before anything is served: blocking calls are nobody's loss there. */
#ifndef WEIR_CONTROL_COOKIE_SECRET_H
#define WEIR_CONTROL_COOKIE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define COOKIE_SECRET_FILE  "cookie.key"
#define COOKIE_SECRET_CHARS 64

enum cookie_secret_state {
	COOKIE_SECRET_KEPT, /* it is in the file, from now on at the latest */
	COOKIE_SECRET_SET_ASIDE, /* the file held something else, and is kept as cookie.key.bad; a new one is in its place */
	COOKIE_SECRET_LOST, /* it could not be written: the next start makes another, and nobody's cookie is believed any more */
};

/* Reads the secret, as text with a NUL; false if there is none. */
bool cookie_secret_read(const char *dir, char secret[COOKIE_SECRET_CHARS + 1]);
/* The same, but makes one if there is none: secret is good whatever is returned. why: of what went wrong. dir is made if missing. */
enum cookie_secret_state cookie_secret_get(
	const char *dir, char secret[COOKIE_SECRET_CHARS + 1], char *why, size_t why_n);

#endif
