/* io/tls.c - the four functions of a TLS transport, and its event. */
#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/tls_transport.h"

/* What encrypting n bytes may take, even if the peer wants them cut to 512 a piece (RFC 6066 4): no cipher adds as much to each. */
#define PIECE_MIN   512
#define PIECE_EXTRA 96
#define WIRE_MAX(n) ((n) + ((n) / PIECE_MIN + 1) * PIECE_EXTRA)

/* SSL_read or SSL_write gave nothing: AGAIN, EOF or ERROR, and everything that follows from it. */
static ssize_t stalled(struct tls_transport *tt, int result)
{
	struct transport *t = &tt->t;
	enum reason why = tt->client ? REASON_UPSTREAM_TLS : REASON_CLIENT_TLS;

	switch (SSL_get_error(tt->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		if (tt->control > TLS_CONTROL_MAX) {
			tls_fail(tt, why, "too many KeyUpdate or renegotiation messages");
			return TRANSPORT_ERROR;
		}
		if (!t->sys_errno)
			return TRANSPORT_AGAIN;
		tls_fail(tt, REASON_NONE, NULL);
		return TRANSPORT_ERROR;
	case SSL_ERROR_WANT_WRITE:
		return TRANSPORT_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		t->readable = false;
		tt->peer_took_leave = true;
		return TRANSPORT_EOF;
	default:
		/* An end without close_notify: something may be missing (RFC 8446 6.1). */
		if (tt->socket_eof) {
			t->sys_errno = ECONNRESET;
			tls_fail(tt, REASON_NONE, "closed without close_notify");
		} else {
			tls_fail(tt, why, ERR_reason_error_string(ERR_peek_error()));
		}
		return TRANSPORT_ERROR;
	}
}

static ssize_t tls_read(struct transport *t, void *p, size_t room)
{
	struct tls_transport *tt = (struct tls_transport *)t;
	size_t got = 0;
	ssize_t end = TRANSPORT_AGAIN;
	uint32_t unsent = wire_bytes(&tt->out);

	if ((t->state != TRANSPORT_OPEN && !tt->readable_still) || !t->readable) {
		t->readable = false;
		return t->state == TRANSPORT_DEAD ? TRANSPORT_ERROR : TRANSPORT_AGAIN;
	}
	if (ERR_peek_error())
		ERR_clear_error();
	if (!wire_bytes(&tt->in) && tt->socket_readable && !SSL_pending(tt->ssl))
		wires_receive(tt, MAX(room + 1024, (size_t)TLS_RECV_MIN));
	while (got < room) {
		size_t left = MIN(room - got, (size_t)1 << 30);
		int n;

		tt->may_receive = got == 0;
		n = SSL_read(tt->ssl, (char *)p + got, (int)left);
		if (n <= 0) {
			end = stalled(tt, n);
			break;
		}
		got += (size_t)n;
		/* Nothing more is there to decrypt: asking in vain would take and give back OpenSSL's read buffer. */
		if (!wire_bytes(&tt->in) && !SSL_pending(tt->ssl))
			break;
	}
	if (wire_bytes(&tt->out) != unsent && t->state == TRANSPORT_OPEN)
		wires_flush(tt); /* an answer to KeyUpdate */
	wire_settle(&t->loop->mem, &tt->in);
	tt->control_bytes += (uint32_t)got;
	if (tt->control_bytes >= TLS_CONTROL_PER_BYTES)
		tt->control = tt->control_bytes = 0;
	if (t->state == TRANSPORT_DEAD) {
		/* What came before is given first; the next read, which this asks for, says that it is dead. A close_notify among it
		 * was an end in order all the same. */
		t->readable = got > 0;
		wire_drop(&tt->out);
		return got ? (ssize_t)got : end == TRANSPORT_EOF ? TRANSPORT_EOF : TRANSPORT_ERROR;
	}
	if (end == TRANSPORT_EOF && got) {
		t->readable = true; /* for the next read, which says so */
		return (ssize_t)got;
	}
	if (end != TRANSPORT_EOF)
		t->readable = tt->socket_readable || wire_bytes(&tt->in) || SSL_pending(tt->ssl) > 0;
	return got ? (ssize_t)got : end;
}

/* What is to be written: a place in an iov. */
struct source {
	const struct iovec *iov;
	int n;
	size_t off; /* into iov[0] */
	size_t left; /* bytes in all */
};

static struct source source_of(const struct iovec *iov, int n)
{
	struct source s = {.iov = iov, .n = n};

	for (int i = 0; i < n; i++)
		s.left += iov[i].iov_len;
	return s;
}

/* The next n bytes, a record's plaintext: where they lie if that is in one piece, else gathered in room. */
static const char *next_record(struct source *s, char *room, size_t n)
{
	size_t here = s->iov->iov_len - s->off, got = 0;

	s->left -= n;
	if (here >= n) {
		const char *p = (const char *)s->iov->iov_base + s->off;

		s->off += n;
		return p;
	}
	while (got < n) {
		size_t take = MIN(s->iov->iov_len - s->off, n - got);

		if (take)
			memcpy(room + got, (const char *)s->iov->iov_base + s->off, take);
		got += take;
		s->off += take;
		if (s->off == s->iov->iov_len) {
			s->iov++;
			s->n--;
			s->off = 0;
		}
	}
	return room;
}

static void skip_empty(struct source *s)
{
	while (s->n > 0 && s->off == s->iov->iov_len) {
		s->iov++;
		s->n--;
		s->off = 0;
	}
}

/* Encrypts as many records as the out block has room for: it holds four full ones and a short one, so that 64 KiB of body leave
 * together with the head before them. False: OpenSSL failed, t is dead. */
static bool fill_out(struct tls_transport *tt, struct source *s, size_t *taken)
{
	struct loop *l = tt->t.loop;

	while (s->left > 0) {
		size_t n = MIN(s->left, (size_t)TLS_RECORD_MAX);
		const char *p;
		int done;

		if (wire_room(&l->mem, &tt->out) < WIRE_MAX(n))
			break;
		skip_empty(s);
		p = next_record(s, (char *)l->scratch, n);
		done = SSL_write(tt->ssl, p, (int)n);
		if (done != (int)n) {
			stalled(tt, done);
			if (tt->t.state != TRANSPORT_DEAD)
				tls_fail(tt, REASON_INTERNAL, "OpenSSL did not take a record");
			return false;
		}
		*taken += n;
	}
	return true;
}

static ssize_t tls_writev(struct transport *t, const struct iovec *iov, int n)
{
	struct tls_transport *tt = (struct tls_transport *)t;
	struct source s = source_of(iov, n);
	size_t taken = 0, gone = 0; /* of them, to the socket */

	if (t->state == TRANSPORT_OPEN && t->unsent)
		wires_flush(tt);
	if (t->state != TRANSPORT_OPEN)
		return t->state == TRANSPORT_DEAD ? TRANSPORT_ERROR : TRANSPORT_AGAIN;
	if (!t->writable)
		return TRANSPORT_AGAIN;
	if (ERR_peek_error())
		ERR_clear_error();
	if (tt->ticket_waits)
		wire_widen(&t->loop->mem, &tt->out);
	tt->peer_took_leave = false;
	do {
		if (!fill_out(tt, &s, &taken) || !wires_flush(tt))
			break;
		gone = taken;
	} while (s.left > 0 && t->writable);
	/* It died of a later round than the first: the caller must not believe that nothing was sent. */
	if (t->state == TRANSPORT_DEAD)
		return gone ? (ssize_t)gone : TRANSPORT_ERROR;
	tt->control_bytes += (uint32_t)taken;
	return taken ? (ssize_t)taken : TRANSPORT_AGAIN;
}

static void tls_shutdown(struct transport *t)
{
	struct tls_transport *tt = (struct tls_transport *)t;

	if (t->state != TRANSPORT_OPEN || tt->fin_follows)
		return;
	ERR_clear_error();
	SSL_shutdown(tt->ssl);
	ERR_clear_error();
	tt->fin_follows = true;
	t->writable = false;
	wires_flush(tt);
}

static void tls_reap(struct task *task)
{
	struct tls_transport *tt = (struct tls_transport *)CONTAINER(task, struct transport, reap);

	tt->t.magic = 0;
	/* OpenSSL would call the session of a connection that was closed without ceremony unfit to be resumed. */
	SSL_set_shutdown(tt->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tt->ssl);
	wire_drop(&tt->in);
	wire_drop(&tt->out);
	free(tt->sni);
	free(tt->error);
	free((char *)(uintptr_t)tt->info.peer_subject.p);
	free((char *)(uintptr_t)tt->info.peer_names.p);
	free((char *)(uintptr_t)tt->info.peer_fingerprint.p);
	tls_server_unref(tt->server);
	tls_client_unref(tt->client);
	mem_obj_free(&tt->t.loop->mem, tt, sizeof(*tt));
}

static void tls_close(struct transport *t)
{
	struct tls_transport *tt = (struct tls_transport *)t;

	/* Whoever said close_notify and then closed, with nothing said to him since, is not there to hear ours. */
	if (t->state == TRANSPORT_OPEN && !tt->fin_follows && !t->unsent &&
		!(tt->peer_took_leave && t->peer_closed))
		tls_shutdown(t);
	event_del(&t->ev);
	close(t->fd);
	t->fd = -1;
	t->state = TRANSPORT_DEAD;
	t->reap.run = tls_reap;
	loop_defer(t->loop, &t->reap, LOOP_REAP);
}

static const struct tls_info *tls_info_of(const struct transport *t)
{
	const struct tls_transport *tt = (const struct tls_transport *)t;

	return tt->info.version ? &tt->info : NULL;
}

static const struct transport_ops tls_ops = {tls_read, tls_writev, tls_shutdown, tls_close, tls_info_of};

const char *tls_error_text(const struct transport *t)
{
	const struct tls_transport *tt = (const struct tls_transport *)t;

	return t->ops == &tls_ops && tt->error ? tt->error : "";
}

static void finish_connect(struct tls_transport *tt)
{
	int err = 0;
	socklen_t n = sizeof(err);

	getsockopt(tt->t.fd, SOL_SOCKET, SO_ERROR, &err, &n);
	if (err)
		transport_die(&tt->t, connect_reason(err), err);
	else
		tt->t.state = TRANSPORT_HANDSHAKE;
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct tls_transport *tt = arg;
	struct transport *t = &tt->t;
	struct loop *l = t->loop;

	(void)fd;
	loop_enter(l);
	if (t->state == TRANSPORT_DEAD)
		return;
	if (what & EV_CLOSED)
		t->peer_closed = true;
	else if ((what & (EV_READ | EV_WRITE)) == (EV_READ | EV_WRITE))
		t->suspect = true;
	if (what & (EV_READ | EV_CLOSED))
		tt->socket_readable = true;
	if (what & EV_WRITE) {
		if (tt->socket_writable && what == EV_WRITE)
			return;
		tt->socket_writable = true;
	}
	if (t->state == TRANSPORT_CONNECTING && (what & (EV_WRITE | EV_CLOSED)))
		finish_connect(tt);
	if (t->state == TRANSPORT_HANDSHAKE) {
		tls_handshake(tt);
		if (t->state == TRANSPORT_HANDSHAKE)
			return;
	} else if (t->state == TRANSPORT_OPEN) {
		if (tt->socket_readable)
			t->readable = true;
		if (!tt->ticket_waits && !wires_flush(tt) && what == EV_WRITE && t->state == TRANSPORT_OPEN)
			return;
	} else if (t->state == TRANSPORT_CONNECTING) {
		return;
	}
	if (t->on_event)
		t->on_event(t);
	loop_leave(l);
}

struct tls_transport *tls_transport_new(
	struct loop *l, int fd, SSL *ssl, const BIO_METHOD *method, enum transport_state state)
{
	struct tls_transport *tt = mem_obj(&l->mem, sizeof(*tt));
	BIO *bio = BIO_new(method);

	MUST(bio);
	BIO_set_data(bio, tt);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, tt);
	tt->ssl = ssl;
	tt->t.magic = TRANSPORT_MAGIC;
	tt->t.fd = fd;
	tt->t.ops = &tls_ops;
	tt->t.loop = l;
	tt->t.state = state;
	/* The first edge comes when the event is added: that is where the handshake begins. */
	event_assign(
		&tt->t.ev, l->base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_socket, tt);
	if (event_add(&tt->t.ev, NULL) != 0) {
		close(fd);
		SSL_free(ssl);
		mem_obj_free(&l->mem, tt, sizeof(*tt));
		return NULL;
	}
	return tt;
}

void tls_transport_prepend(struct tls_transport *tt, struct str bytes)
{
	if (bytes.n == 0)
		return;
	MUST(bytes.n <= wire_room(&tt->t.loop->mem, &tt->out));
	memcpy(tt->out.block->data + tt->out.end, bytes.p, bytes.n);
	tt->out.end += (uint32_t)bytes.n;
}
