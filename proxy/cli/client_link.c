#include "cli/client_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/obj.h"

static bool refuse(const struct client_link *k, char *err, size_t err_n, int why)
{
	switch (why) {
	case ENOENT:
	case ECONNREFUSED:
		snprintf(err, err_n,
			"no weir is running at %s; start one with \"weir run -c FILE\", or say where it is "
			"with %s",
			k->where, k->local ? "--socket PATH or WEIR_SOCKET" : "--admin URL");
		break;
	case EACCES:
	case EPERM:
		snprintf(err, err_n,
			"%s: permission denied; its mode says who may: become weir's user, or join its group",
			k->where);
		break;
	default:
		snprintf(err, err_n, "cannot connect to %s: %s", k->where, strerror(why));
	}
	return false;
}

/* -- the unix socket -- */

static bool open_local(struct client_link *k, const char *path, char *err, size_t err_n)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct addr nobody = {.family = ADDR_UNIX};
	int fd;

	k->local = true;
	snprintf(k->where, sizeof(k->where), "%s", path);
	snprintf(k->authority, sizeof(k->authority), "localhost");
	if (strlen(path) >= sizeof(un.sun_path))
		return refuse(k, err, err_n, ENAMETOOLONG);
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return refuse(k, err, err_n, errno);
	/* Waits while the queue is full: somebody is there. */
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		int why = errno;

		close(fd);
		return refuse(k, err, err_n, why);
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	k->transport = plain_from_fd(k->loop, fd, &nobody, &nobody);
	return k->transport != NULL;
}

/* -- TCP -- */

static bool resolve(const char *host, const char *port, struct addr *out, char *err, size_t err_n)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int why = getaddrinfo(host, port, &hints, &found);

	if (why) {
		snprintf(err, err_n, "cannot find %s: %s", host, gai_strerror(why));
		return false;
	}
	addr_from_sockaddr(out, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return true;
}

static struct str from_environment(const char *name)
{
	const char *value = getenv(name);

	return value ? str_of(value) : STR_NONE;
}

static bool open_tls(struct client_link *k, const struct addr *to, struct str host, char *err, size_t err_n)
{
	const struct conf_upstream_tls conf = {
		.on = true,
		.verify = true,
		.ca = from_environment("WEIR_CA"),
		.cert = from_environment("WEIR_CERT"),
		.key = from_environment("WEIR_KEY"),
	};
	enum reason why;
	struct addr ip;

	k->tls = tls_client_new(&conf, CONF_HTTP1, err, err_n);
	if (!k->tls)
		return false;
	k->transport = tls_connect(
		k->loop, to, NULL, k->tls, addr_parse_ip(&ip, host) ? STR_NONE : host, STR_NONE, &why);
	return k->transport || refuse(k, err, err_n, errno);
}

/* "http://host:port", "https://host:port" */
static bool open_url(struct client_link *k, const char *url, char *err, size_t err_n)
{
	bool tls = strncmp(url, "https://", 8) == 0;
	struct str rest = str_of(url);
	char host[200], port[16] = "";
	struct addr to;
	enum reason why;
	const char *colon;

	snprintf(k->where, sizeof(k->where), "%s", url);
	if (!tls && strncmp(url, "http://", 7) != 0) {
		snprintf(err, err_n, "--admin takes http://host:port or https://host:port, not \"%s\"", url);
		return false;
	}
	rest = str_skip(rest, tls ? 8 : 7);
	rest = str_head(rest, str_find(rest, '/'));
	snprintf(k->authority, sizeof(k->authority), STR_FMT, STR_ARG(rest));
	snprintf(host, sizeof(host), STR_FMT, STR_ARG(rest));
	colon = strrchr(host, ':');
	if (!colon || strchr(colon, ']')) {
		snprintf(err, err_n, "--admin needs a port: %s://host:9900", tls ? "https" : "http");
		return false;
	}
	snprintf(port, sizeof(port), "%s", colon + 1);
	host[colon - host] = '\0';
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		memmove(host, host + 1, strlen(host));
	}
	if (!resolve(host, port, &to, err, err_n))
		return false;
	if (tls)
		return open_tls(k, &to, str_of(host), err, err_n);
	k->transport = plain_connect(k->loop, &to, NULL, &why);
	return k->transport || refuse(k, err, err_n, errno);
}

bool client_link_open(
	struct client_link *k, struct loop *l, const struct client_options *o, char *err, size_t err_n)
{
	const char *url = o->admin, *path = o->socket;

	*k = (struct client_link){.loop = l};
	err[0] = '\0';
	if (!url && !path)
		url = getenv("WEIR_ADMIN");
	if (url && *url)
		return open_url(k, url, err, err_n);
	if (!path)
		path = getenv("WEIR_SOCKET");
	return open_local(k, path && *path ? path : CLIENT_SOCKET, err, err_n);
}

static void on_transport(struct transport *t)
{
	if (t->state == TRANSPORT_OPEN || t->state == TRANSPORT_DEAD)
		loop_stop(t->loop);
}

bool client_link_wait(struct client_link *k, char *err, size_t err_n)
{
	struct transport *t = k->transport;
	const char *text;

	if (t->state != TRANSPORT_OPEN) {
		t->on_event = on_transport;
		k->loop->stop = false;
		loop_run(k->loop);
	}
	t->on_event = NULL;
	if (t->state == TRANSPORT_OPEN)
		return true;
	err[0] = '\0';
	if (t->state != TRANSPORT_DEAD)
		return false;
	text = k->tls ? tls_error_text(t) : "";
	if (text[0])
		snprintf(err, err_n, "%s: TLS: %s", k->where, text);
	else
		refuse(k, err, err_n, t->sys_errno ? t->sys_errno : ECONNABORTED);
	return false;
}

void client_link_close(struct client_link *k)
{
	transport_close(&k->transport);
	tls_client_release(k->tls);
	k->tls = NULL;
}
