/* io/tls_memory.h - OpenSSL's blocks from free lists of each thread.
 *
 * With released buffers (SSL_MODE_RELEASE_BUFFERS) every record that is read takes and gives back 17 KB, every connection 8 KB more;
 * malloc() splits and joins its heap for them each time. A handshake takes a thousand small ones besides, more than malloc's own cache
 * of a thread holds. The lists cost no header: a block's size is asked of malloc. Measured on full handshakes: 3 to 6% of the time for
 * the large ones, 3% of a resumed handshake's instructions for the small. The lists are thread-local, because OpenSSL's memory
 * functions are given no context. */
#ifndef WEIR_IO_TLS_MEMORY_H
#define WEIR_IO_TLS_MEMORY_H

#include <stdbool.h>

/* At the start of the program, before OpenSSL has allocated anything; false when it is too late, or under a sanitizer, which shall see
 * every block: OpenSSL then uses malloc() as ever. */
bool tls_memory_install(void);
/* Gives the calling thread's list back, before the thread ends. */
void tls_memory_trim(void);

#endif
