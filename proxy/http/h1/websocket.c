#include "http/h1/websocket.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include "base/obj.h"

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */

struct str websocket_key(const uint8_t random[16], char buf[WEBSOCKET_KEY_LEN + 1])
{
	EVP_EncodeBlock((unsigned char *)buf, random, 16);
	return (struct str){buf, WEBSOCKET_KEY_LEN};
}

struct str websocket_accept(struct str key, char buf[WEBSOCKET_ACCEPT_LEN + 1])
{
	unsigned char text[WEBSOCKET_KEY_LEN + sizeof(guid) - 1], digest[SHA_DIGEST_LENGTH];

	MUST(key.n == WEBSOCKET_KEY_LEN);
	memcpy(text, key.p, key.n);
	memcpy(text + key.n, guid, sizeof(guid) - 1);
	SHA1(text, sizeof(text), digest);
	EVP_EncodeBlock((unsigned char *)buf, digest, sizeof(digest));
	return (struct str){buf, WEBSOCKET_ACCEPT_LEN};
}
