#include "supervisor/sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/admin/door.h"
#include "io/socket.h"

#define LISTEN_FDS_START 3
#define STORE_NAME_MAX   255 /* of a descriptor in systemd's store */
#define STORE_PREFIX     "weir-"

/* -- what may be opened -- */

/* The listener of that address, and how many sockets it takes; 0: there is none. texts must live as long as *l. */
static uint32_t named_listener(const struct conf *conf, struct str address, uint32_t n,
	struct conf_listener *l, struct admin_texts *texts)
{
	struct conf_listener admin[2];
	uint32_t admin_n = conf ? admin_listeners(&conf->admin, texts, admin) : 0;

	for (uint32_t i = 0; conf && i < conf->listener_n; i++) {
		if (str_eq(conf->listeners[i].socket_key, address)) {
			*l = conf->listeners[i];
			return n;
		}
	}
	for (uint32_t i = 0; i < admin_n; i++) {
		if (str_eq(admin[i].socket_key, address)) {
			*l = admin[i];
			return 1; /* control alone accepts there */
		}
	}
	return 0;
}

static const struct conf *current_conf(struct sockets *s)
{
	struct conf_report report;

	if (!s->conf) {
		s->conf = conf_load_root(s->config, &report);
		conf_report_free(&report);
	}
	return s->conf;
}

/* -- systemd's store of descriptors, which outlives a supervisor that has crashed -- */

/* A name there must not hold ':'. */
static void store_name(struct str address, char name[STORE_NAME_MAX + 1])
{
	struct text t = text_in(name, STORE_NAME_MAX);

	text_put(&t, STR(STORE_PREFIX));
	for (size_t i = 0; i < address.n; i++)
		text_char(&t, address.p[i] == ':' ? '|' : address.p[i]);
	name[t.n] = '\0';
}

static void store(const struct sockets *s, const struct listener_socket *ls)
{
	char name[STORE_NAME_MAX + 1], text[STORE_NAME_MAX + 64];

	store_name(str_of(ls->key), name);
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	notify_send_fds(s->notify, text, ls->fds, MIN(ls->n, (uint32_t)CHANNEL_FDS_MAX));
}

static void store_remove(const struct sockets *s, const struct listener_socket *ls)
{
	char name[STORE_NAME_MAX + 1];

	store_name(str_of(ls->key), name);
	notify_send(s->notify, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* -- questions -- */

/* Unix sockets belong to the group of the user that weir becomes, so that `0660` lets that group in. */
static struct listener_socket *open_as(
	struct sockets *s, const struct conf_listener *l, uint32_t n, char *err, size_t err_n)
{
	bool is_unix = l->addr.family == ADDR_UNIX, for_group = is_unix && s->identity->name;
	int before;
	struct listener_socket *ls;

	if (is_unix)
		identity_make_parent(s->identity, l->unix_path.p);
	before = for_group ? setfsgid(s->identity->gid) : 0;
	ls = listener_sockets_open(&s->all, l, n, err, err_n);
	if (for_group)
		setfsgid((gid_t)before);
	if (ls)
		store(s, ls);
	return ls;
}

static void answer_one(struct sockets *s, struct process *p, const char *address, uint32_t n, json_t *errors)
{
	struct listener_socket *ls = listener_sockets_find(&s->all, str_of(address));
	char err[512] = "the file has changed meanwhile: reload again";
	struct admin_texts texts;
	struct conf_listener l;

	if (!ls)
		n = named_listener(current_conf(s), str_of(address), n, &l, &texts);
	if (!ls && n)
		ls = open_as(s, &l, n, err, sizeof(err));
	if (ls)
		channel_send(&p->channel, "socket", json_pack("{s:s}", "address", address), ls->fds,
			MIN(ls->n, (uint32_t)CHANNEL_FDS_MAX));
	else
		json_object_set_new(errors, address, json_string(err));
}

void sockets_answer(struct sockets *s, struct process *p, const json_t *question)
{
	json_int_t n = json_integer_value(json_object_get(question, "n"));
	const json_t *addresses = json_object_get(question, "addresses");
	json_t *errors = json_object();

	n = MIN(MAX(n, 1), CHANNEL_FDS_MAX);
	for (size_t i = 0; i < json_array_size(addresses); i++)
		if (json_string_value(json_array_get(addresses, i)))
			answer_one(
				s, p, json_string_value(json_array_get(addresses, i)), (uint32_t)n, errors);
	channel_send(&p->channel, "bound",
		json_pack("{s:I, s:o}", "seq", json_integer_value(json_object_get(question, "seq")), "errors",
			errors),
		NULL, 0);
	conf_free(TAKE(&s->conf));
}

static bool is_among(const json_t *addresses, const char *address)
{
	for (size_t i = 0; i < json_array_size(addresses); i++) {
		const char *one = json_string_value(json_array_get(addresses, i));

		if (one && strcmp(one, address) == 0)
			return true;
	}
	return false;
}

void sockets_keep(struct sockets *s, const json_t *addresses)
{
	list_each_safe (link, &s->all.all) {
		struct listener_socket *ls = CONTAINER(link, struct listener_socket, link);

		if (is_among(addresses, ls->key))
			continue;
		store_remove(s, ls);
		listener_socket_close(&ls, false);
	}
}

/* -- inherited from systemd -- */

struct inherited {
	struct str name;
	int fd;
	bool taken;
};

/* What sockets of our own have from the start. */
static void prepare(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	socket_prepare(fd, SOCKET_CLIENT_IDLE_S);
}

static bool listens(int fd)
{
	int yes = 0;
	socklen_t n = sizeof(yes);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes;
}

static bool listens_at(int fd, const struct conf_listener *l)
{
	union {
		struct sockaddr_storage any;
		struct sockaddr_un un;
	} ss = {0};
	socklen_t n = sizeof(ss.any) - 1; /* a path is ended by what is zero */
	struct addr at;

	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0)
		return false;
	if (ss.any.ss_family == AF_UNIX)
		return l->addr.family == ADDR_UNIX && str_eq(l->unix_path, str_of(ss.un.sun_path));
	if (l->addr.family == ADDR_UNIX || l->addr.port == 0)
		return false;
	addr_from_sockaddr(&at, (struct sockaddr *)&ss, n);
	return addr_eq_ip(&at, &l->addr) && at.port == l->addr.port;
}

static bool is_for(const struct inherited *in, const struct conf_listener *l)
{
	char stored[STORE_NAME_MAX + 1];

	store_name(l->socket_key, stored);
	return str_eq(in->name, str_of(stored)) || (l->name.n && str_eq(in->name, l->name)) ||
	       listens_at(in->fd, l);
}

static void inherit_for(struct sockets *s, const struct conf_listener *l, struct inherited *v, uint32_t n)
{
	int fds[CHANNEL_FDS_MAX];
	uint32_t fd_n = 0;

	for (uint32_t i = 0; i < n && fd_n < CHANNEL_FDS_MAX; i++) {
		if (v[i].taken || !is_for(&v[i], l))
			continue;
		v[i].taken = true;
		prepare(v[i].fd);
		fds[fd_n++] = v[i].fd;
	}
	if (fd_n)
		listener_sockets_adopt(&s->all, l->socket_key, fds, fd_n);
}

static void close_rest(struct inherited *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (v[i].taken)
			continue;
		fprintf(stderr,
			"weir: no listener has the name or the address of the inherited socket \"" STR_FMT
			"\": closed\n",
			STR_ARG(v[i].name));
		close(v[i].fd);
	}
}

static uint32_t read_inherited(struct inherited *v, uint32_t max)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS"),
		   *names = getenv("LISTEN_FDNAMES");
	struct str rest = str_of(names ? names : "");
	uint64_t n = 0, whose = 0;

	if (!pid || !count || !str_to_u64(str_of(pid), &whose) || whose != (uint64_t)getpid() ||
		!str_to_u64(str_of(count), &n))
		return 0;
	n = MIN(n, max);
	for (uint32_t i = 0; i < n; i++) {
		v[i] = (struct inherited){.fd = LISTEN_FDS_START + (int)i};
		v[i].name = str_head(rest, str_find(rest, ':'));
		rest = str_skip(rest, v[i].name.n + 1);
	}
	return (uint32_t)n;
}

void sockets_inherit(struct sockets *s, const struct conf *conf)
{
	static const uint32_t max = 65536;
	struct inherited *v = calloc(max, sizeof(*v));
	struct conf_listener admin[2];
	struct admin_texts texts;
	uint32_t n, admin_n = admin_listeners(&conf->admin, &texts, admin);

	MUST(v);
	n = read_inherited(v, max);
	for (uint32_t i = 0; i < n; i++)
		v[i].taken = !listens(v[i].fd); /* not for us to close either: somebody else's descriptor */
	for (uint32_t i = 0; i < conf->listener_n; i++)
		inherit_for(s, &conf->listeners[i], v, n);
	for (uint32_t i = 0; i < admin_n; i++)
		inherit_for(s, &admin[i], v, n);
	close_rest(v, n);
	free(v);
}
