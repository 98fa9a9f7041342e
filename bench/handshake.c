/* bench/handshake.c - a fixed number of connections: TLS 1.3 handshake, one request, close.
 *
 *   handshake PORT COUNT full|resumed THREADS PATH SIZE
 *
 * Each thread has one connection at a time. "resumed": a thread's first connection, not counted in COUNT, fetches
 * the ticket; every later one must resume with the newest there is, or the program ends. Prints what was negotiated,
 * and how many tickets came in the connections that COUNT counts, as one line of JSON. */
#include "net.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

enum { THREADS_MAX = 64 };

struct job { /* the same for all threads; const once they run */
	uint16_t port;
	bool resume;
	char request[512];
	size_t request_len;
	uint64_t size;
	SSL_CTX *ctx;
};

struct thread {
	pthread_t id;
	const struct job *job;
	uint64_t count;
	SSL_SESSION *session; /* the newest ticket */
	uint64_t tickets;
	char cipher[64], group[64];
};

static int thread_slot; /* the index of the SSL's ex_data that holds its thread */

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct thread *t = SSL_get_ex_data(ssl, thread_slot);

	t->tickets++;
	SSL_SESSION_free(t->session);
	t->session = session;
	return 1;
}

/* OpenSSL's client uses a TLS 1.3 ticket once (RFC 8446 C.4) and marks it: a copy keeps it for a contender that gives
 * no new one. */
static void resume_with(SSL *ssl, const SSL_SESSION *ticket)
{
	SSL_SESSION *copy = ticket ? SSL_SESSION_dup(ticket) : NULL;

	if (!copy || !SSL_set_session(ssl, copy))
		die("no ticket to resume with");
	SSL_SESSION_free(copy);
}

static void once(struct thread *t, bool resume)
{
	const struct job *j = t->job;
	struct answer a = {0};
	char buf[16384];
	int fd = net_connect(j->port), n;
	SSL *ssl = SSL_new(j->ctx);

	SSL_set_fd(ssl, fd);
	SSL_set_ex_data(ssl, thread_slot, t);
	SSL_set_tlsext_host_name(ssl, "localhost");
	if (resume)
		resume_with(ssl, t->session);
	if (SSL_connect(ssl) != 1)
		die("TLS handshake: %s", ERR_error_string(ERR_get_error(), NULL));
	if (SSL_version(ssl) != TLS1_3_VERSION || SSL_session_reused(ssl) != resume)
		die("the handshake was %s and %s", SSL_get_version(ssl),
			SSL_session_reused(ssl) ? "resumed" : "full");
	if (!t->cipher[0]) {
		snprintf(t->cipher, sizeof(t->cipher), "%s", SSL_get_cipher_name(ssl));
		snprintf(t->group, sizeof(t->group), "%s",
			SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl)));
	}
	if (SSL_write(ssl, j->request, (int)j->request_len) != (int)j->request_len)
		die("the contender does not take a request");
	do {
		n = SSL_read(ssl, buf, sizeof(buf));
		if (n <= 0)
			die("the connection ended before the answer did");
	} while (answer_feed(&a, buf, (size_t)n, 200, j->size) == ANSWER_MORE);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void *thread_run(void *arg)
{
	struct thread *t = arg;

	if (t->job->resume)
		once(t, false);
	t->tickets = 0;
	for (uint64_t i = 0; i < t->count; i++)
		once(t, t->job->resume);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct thread threads[THREADS_MAX];
	struct job job = {0};
	uint64_t count, n, tickets = 0;

	if (argc != 7)
		die("usage: handshake PORT COUNT full|resumed THREADS PATH SIZE");
	signal(SIGPIPE, SIG_IGN);
	job.port = (uint16_t)number(argv[1], "PORT", 1, 65535);
	count = number(argv[2], "COUNT", 1, 10000000);
	job.resume = !strcmp(argv[3], "resumed");
	n = number(argv[4], "THREADS", 1, THREADS_MAX);
	job.size = number(argv[6], "SIZE", 1, 1 << 30);
	job.request_len = (size_t)snprintf(
		job.request, sizeof(job.request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[5]);
	job.ctx = SSL_CTX_new(TLS_client_method());
	if (!job.ctx)
		die("SSL_CTX_new failed");
	SSL_CTX_set_min_proto_version(job.ctx, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(job.ctx, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set1_groups_list(job.ctx, "X25519");
	SSL_CTX_set_session_cache_mode(job.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(job.ctx, on_ticket);
	thread_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	for (uint64_t i = 0; i < n; i++) {
		threads[i].job = &job;
		threads[i].count = count / n + (i < count % n);
		if (pthread_create(&threads[i].id, NULL, thread_run, &threads[i]) != 0)
			die("no thread");
	}
	for (uint64_t i = 0; i < n; i++) {
		pthread_join(threads[i].id, NULL);
		tickets += threads[i].tickets;
	}
	printf("{\"done\": %llu, \"tickets\": %llu, \"cipher\": \"%s\", \"group\": "
	       "\"%s\"}\n",
		(unsigned long long)count, (unsigned long long)tickets, threads[0].cipher, threads[0].group);
	return 0;
}
