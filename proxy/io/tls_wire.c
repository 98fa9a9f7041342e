/* io/tls_wire.c - ciphertext between the socket and OpenSSL. */
#include <errno.h>
#include <openssl/bio.h>
#include <sys/socket.h>
#include "base/obj.h"
#include "io/tls_transport.h"
void wire_drop(struct wire *w)
{
	block_unref(w->block);
	*w = (struct wire){0};
}

uint32_t wire_room(struct mem *m, struct wire *w)
{
	if (!w->block)
		w->block = block_new(m, mem_block_max());
	return w->block->size - w->end;
}

void wire_settle(struct mem *m, struct wire *w)
{
	uint32_t n = wire_bytes(w);
	struct block *small;

	if (n == 0) {
		wire_drop(w);
		return;
	}
	if (!w->block || n > w->block->size / 4)
		return;
	small = block_new(m, n);
	if (small->size == w->block->size) {
		block_unref(small);
		return;
	}
	memcpy(small->data, w->block->data + w->off, n);
	block_unref(w->block);
	*w = (struct wire){small, 0, n};
}

void wire_widen(struct mem *m, struct wire *w)
{
	struct wire wide = {0};

	if (!w->block || w->block->size == mem_block_max())
		return;
	wire_room(m, &wide);
	wide.end = wire_bytes(w);
	memcpy(wide.block->data, w->block->data + w->off, wide.end);
	block_unref(w->block);
	*w = wide;
}

void wires_receive(struct tls_transport *tt, size_t want)
{
	ssize_t n;

	wire_drop(&tt->in);
	want = MIN(want, wire_room(&tt->t.loop->mem, &tt->in));
	do
		n = recv(tt->t.fd, tt->in.block->data + tt->in.end, want, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		tt->in.end += (uint32_t)n;
		/* As for plain ones: a short read drained the socket, unless a FIN is behind it. */
		if ((size_t)n < want && !tt->t.peer_closed)
			tt->socket_readable = false;
		return;
	}
	tt->socket_readable = false;
	if (n == 0)
		tt->socket_eof = true;
	else if (errno != EAGAIN)
		tt->t.sys_errno = errno;
}

bool wires_flush(struct tls_transport *tt)
{
	struct transport *t = &tt->t;

	tt->ticket_waits = false;
	while (wire_bytes(&tt->out) && tt->socket_writable) {
		ssize_t n =
			send(t->fd, tt->out.block->data + tt->out.off, wire_bytes(&tt->out), MSG_NOSIGNAL);

		if (n >= 0) {
			tt->out.off += (uint32_t)n;
			t->suspect = false; /* a socket that was reset takes nothing */
			/* A short write filled the socket, as a short read empties it. */
			if (wire_bytes(&tt->out))
				tt->socket_writable = false;
		} else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
			tt->socket_writable = false;
		} else if (errno != EINTR) {
			wire_drop(&tt->out);
			t->unsent = false;
			tt->readable_still = t->state == TRANSPORT_OPEN;
			transport_die(t, REASON_NONE, errno);
			t->readable = tt->socket_readable = tt->readable_still;
			return false;
		}
	}
	wire_settle(&t->loop->mem, &tt->out);
	t->unsent = tt->out.block != NULL;
	t->writable = !t->unsent && tt->socket_writable && t->state == TRANSPORT_OPEN && !tt->fin_follows;
	if (!t->unsent && tt->fin_follows)
		shutdown(t->fd, SHUT_WR);
	return !t->unsent;
}

static int bio_read(BIO *b, char *p, int n)
{
	struct tls_transport *tt = BIO_get_data(b);
	uint32_t have;

	BIO_clear_retry_flags(b);
	if (!wire_bytes(&tt->in) && tt->socket_readable && tt->may_receive)
		wires_receive(tt, TLS_RECV_MIN);
	have = wire_bytes(&tt->in);
	/* Over the bound OpenSSL is starved: it would work through the flood within one call. */
	if (have && tt->control <= TLS_CONTROL_MAX) {
		if (have > (uint32_t)n)
			have = (uint32_t)n;
		memcpy(p, tt->in.block->data + tt->in.off, have);
		tt->in.off += have;
		return (int)have;
	}
	if (tt->socket_eof && !have)
		return 0;
	BIO_set_retry_read(b);
	return -1;
}

static int bio_write(BIO *b, const char *p, int n)
{
	struct tls_transport *tt = BIO_get_data(b);
	uint32_t room = wire_room(&tt->t.loop->mem, &tt->out);

	BIO_clear_retry_flags(b);
	if (room < (uint32_t)n && tt->socket_writable) {
		wires_flush(tt);
		room = wire_room(&tt->t.loop->mem, &tt->out);
	}
	if (room == 0) {
		BIO_set_retry_write(b);
		return -1;
	}
	if ((uint32_t)n > room)
		n = (int)room;
	memcpy(tt->out.block->data + tt->out.end, p, (size_t)n);
	tt->out.end += (uint32_t)n;
	return n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	const struct tls_transport *tt = BIO_get_data(b);

	(void)num;
	(void)ptr;
	switch (cmd) {
	case BIO_CTRL_FLUSH: /* everything of one step leaves together, afterwards */
		return 1;
	case BIO_CTRL_EOF:
		return tt->socket_eof && !wire_bytes(&tt->in);
	default:
		return 0;
	}
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weir wire");

	MUST(m);
	BIO_meth_set_read(m, bio_read);
	BIO_meth_set_write(m, bio_write);
	BIO_meth_set_ctrl(m, bio_ctrl);
	return m;
}
