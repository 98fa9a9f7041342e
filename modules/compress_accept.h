/* modules/compress_accept.h - which coding of an answer's body a client prefers: Accept-Encoding (RFC 9110 12.5.3). */
#ifndef WEIR_MODULES_COMPRESS_ACCEPT_H
#define WEIR_MODULES_COMPRESS_ACCEPT_H

#include "compress_coder.h"

/* Of those offered, n of them, the one of the highest weight, among equals the first. CODING_IDENTITY: none of them, or the client would
 * rather have the body as it is, or says nothing. */
enum coding accept_coding(const struct fields *request, const uint8_t *offered, uint32_t n);

#endif
