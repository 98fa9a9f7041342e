/* io/tls_kdf.h - the key schedule of TLS 1.3 (RFC 8446 7.1) for OpenSSL, without its detours.
 *
 * A handshake derives some twenty secrets of one or two blocks of hashing each. OpenSSL 3.0 makes a context, fetches a hash by its name,
 * and builds and copies contexts of HMAC for every one: ten times the work of the hashing itself. This is the same
 * function ("TLS13-KDF") over OpenSSL's own SHA-256 and SHA-384, as a provider that is built in; libssl does not know the difference.
 * It keeps nothing between calls: whoever uses it gives all parameters when he derives, as libssl does. */
#ifndef WEIR_IO_TLS_KDF_H
#define WEIR_IO_TLS_KDF_H

#include <stdbool.h>

/* Makes the whole process prefer it: once, before the first TLS context is made. False when OpenSSL will not have it, or when it was
 * configured with properties of its own (FIPS): what OpenSSL brings is then used as ever. */
bool tls_kdf_install(void);

#endif
