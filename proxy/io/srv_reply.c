#include "io/srv_reply.h"

#include <ares.h>
#include <string.h>

#define HEAD_BYTES     12 /* RFC 1035 4.1.1 */
#define QUESTION_BYTES 4 /* behind its name */
#define RECORD_BYTES   10 /* between a record's name and its data */
#define SRV_BYTES      6 /* in front of the target */
#define CLASS_IN       1
#define TYPE_SRV       33

/* A message and where it has been read to. */
struct cursor {
	const unsigned char *p, *at, *end;
};

static uint16_t u16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t u32(const unsigned char *p)
{
	return (uint32_t)u16(p) << 16 | u16(p + 2);
}

/* The name at c->at, moved behind it; "" for the root. */
static bool read_name(struct cursor *c, char name[SRV_TARGET_MAX])
{
	char *text;
	long used;

	if (c->at >= c->end ||
		ares_expand_name(c->at, c->p, (int)(c->end - c->p), &text, &used) != ARES_SUCCESS)
		return false;
	c->at += used;
	if (strlen(text) >= SRV_TARGET_MAX) {
		ares_free_string(text);
		return false;
	}
	strcpy(name, text);
	ares_free_string(text);
	return true;
}

static bool has(const struct cursor *c, size_t n)
{
	return (size_t)(c->end - c->at) >= n;
}

static bool skip_questions(struct cursor *c, unsigned count)
{
	char name[SRV_TARGET_MAX];

	while (count--) {
		if (!read_name(c, name) || !has(c, QUESTION_BYTES))
			return false;
		c->at += QUESTION_BYTES;
	}
	return true;
}

/* The data of an SRV record, of n bytes. */
static bool read_srv(struct srv_answer *a, struct cursor data, uint32_t ttl)
{
	struct srv_record *r = &a->v[a->n];

	if (!has(&data, SRV_BYTES))
		return false;
	r->priority = u16(data.at);
	r->weight = u16(data.at + 2);
	r->port = u16(data.at + 4);
	data.at += SRV_BYTES;
	if (!read_name(&data, r->target))
		return false;
	if (r->target[0] == '\0' || r->port == 0)
		return true;
	if (a->n == 0 || ttl < a->ttl_s)
		a->ttl_s = ttl;
	a->n++;
	return true;
}

static bool read_record(struct srv_answer *a, struct cursor *c)
{
	char name[SRV_TARGET_MAX];
	const unsigned char *head;
	size_t n;

	if (!read_name(c, name) || !has(c, RECORD_BYTES))
		return false;
	head = c->at;
	c->at += RECORD_BYTES;
	n = u16(head + 8);
	if (!has(c, n))
		return false;
	if (u16(head) == TYPE_SRV && u16(head + 2) == CLASS_IN && a->n < SRV_RECORDS_MAX &&
		!read_srv(a, (struct cursor){c->p, c->at, c->end}, u32(head + 4)))
		return false;
	c->at += n;
	return true;
}

bool srv_reply_parse(struct srv_answer *a, const unsigned char *message, size_t n)
{
	struct cursor c = {message, message + HEAD_BYTES, message + n};
	unsigned records;

	a->n = 0;
	if (n < HEAD_BYTES || !skip_questions(&c, u16(message + 4)))
		return false;
	records = u16(message + 6);
	while (records--) {
		if (!read_record(a, &c)) {
			a->n = 0;
			return false;
		}
	}
	return true;
}
