/* http/h1/websocket.h - the two values of a WebSocket handshake over HTTP/1.1 (RFC 6455 4). */
#ifndef WEIR_HTTP_H1_WEBSOCKET_H
#define WEIR_HTTP_H1_WEBSOCKET_H

#include "base/str.h"

#define WEBSOCKET_KEY_LEN    24
#define WEBSOCKET_ACCEPT_LEN 28

/* A Sec-WebSocket-Key from 16 random bytes. They guard against caches that replay a handshake, they are no secret. */
struct str websocket_key(const uint8_t random[16], char buf[WEBSOCKET_KEY_LEN + 1]);
/* The Sec-WebSocket-Accept that answers key (WEBSOCKET_KEY_LEN bytes). */
struct str websocket_accept(struct str key, char buf[WEBSOCKET_ACCEPT_LEN + 1]);

#endif
