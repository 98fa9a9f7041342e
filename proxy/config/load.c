#include "config/load.h"

#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/obj.h"
#include "config/fields.h"
#include "config/module.h"
#include "config/report.h"
#include "config/tree.h"

#define CONFIG_MAX (256u * 1024 * 1024)

static bool read_all(int fd, char *out, size_t n, const char **why)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = read(fd, out + at, n - at);

		if (got > 0) {
			at += (size_t)got;
		} else if (got == 0) {
			*why = "it became shorter while it was read";
			return false;
		} else if (errno != EINTR) {
			*why = strerror(errno);
			return false;
		}
	}
	return true;
}

bool load_file(struct arena *a, const char *path, size_t max, struct str *text, const char **why)
{
	int fd = file_open(path, why);
	struct stat st;
	bool ok = false;
	char *out;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0) {
		*why = strerror(errno);
	} else if ((uint64_t)st.st_size > max) {
		*why = "it is too large";
	} else {
		out = arena_bytes(a, (size_t)st.st_size + 1);
		out[st.st_size] = '\0';
		*text = (struct str){out, (size_t)st.st_size};
		ok = read_all(fd, out, text->n, why);
	}
	close(fd);
	return ok;
}

/* -- the files of a conf -- */

#define FILES_MAX UINT16_MAX

static struct str absolute(struct arena *a, struct str name)
{
	char *cwd;
	struct str s;

	if (str_starts(name, STR("/")))
		return arena_str(a, name);
	cwd = getcwd(NULL, 0);
	s = arena_fmt(a, "%s/" STR_FMT, cwd ? cwd : "", STR_ARG(name));
	free(cwd);
	return s;
}

/* The arrays grow by doubling: what they leave behind in the arenas is less than they are. */
static uint16_t add_file(struct conf *c, struct str name, struct str text)
{
	uint32_t n = c->file_n;

	if ((n & (n - 1)) == 0) {
		struct str *files = arena_array(&c->arena, struct str, n ? 2 * n : 1);
		struct str *names = arena_array(&c->arena, struct str, n ? 2 * n : 1);
		struct str *texts = arena_array(&c->bytes, struct str, n ? 2 * n : 1);

		if (n) {
			memcpy(files, c->files, n * sizeof(*files));
			memcpy(names, c->names, n * sizeof(*names));
			memcpy(texts, c->texts, n * sizeof(*texts));
		}
		c->files = files;
		c->names = names;
		c->texts = texts;
	}
	c->files[n] = absolute(&c->arena, name);
	c->names[n] = arena_str(&c->arena, name);
	c->texts[n] = text;
	c->fingerprint = hash_bytes(c->files[n].p, c->files[n].n, c->fingerprint);
	c->fingerprint = hash_bytes(text.p, text.n, c->fingerprint);
	c->file_n++;
	return (uint16_t)n;
}

void conf_forget_texts(struct conf *c)
{
	arena_free(&c->bytes);
	arena_init(&c->bytes, NULL);
	c->texts = NULL;
}

/* -- reading -- */

/* Tenants are the bulk of a large file: each is read, taken over and forgotten before the next. */
static void read_tenants(struct parse *p, struct tree *t)
{
	struct node *key, *value;

	while ((key = tree_key(t)) && (value = tree_value(t))) {
		tenant_add(p, key, value);
		tree_forget(t);
	}
}

static void read_text(
	struct parse *p, const struct config_object *o, void *obj, uint16_t file, struct str text)
{
	struct tree *t = tree_open(p->conf, p->report, &p->scratch, file, text);
	struct object_pass pass;
	struct node *key, *value = NULL;

	if (tree_enter(t)) {
		object_begin(p, &pass, o, STR_NONE, obj);
		while ((key = tree_key(t))) {
			const struct config_field *f = object_key(p, &pass, key);

			if (f && f->type == &type_tenants && tree_enter_value(t, &value))
				read_tenants(p, t);
			else if (!f || f->type != &type_tenants)
				value = tree_value(t);
			if (f && value)
				object_value(p, &pass, value);
			tree_forget(t);
		}
		if (tree_broken(t))
			pass.seen = ~0ull;
		object_end(p, &pass, NULL, (struct conf_place){file, 1, 1});
	}
	tree_close(&t);
}

static bool fetch_text(struct parse *p, struct str name, struct str *text, const char **why)
{
	if (!p->kept)
		return load_file(&p->conf->bytes, arena_str(&p->scratch, name).p, CONFIG_MAX, text, why);
	for (uint32_t i = 1; i < p->kept_n; i++) {
		if (str_eq(p->kept[i].name, name)) {
			*text = arena_str(&p->conf->bytes, p->kept[i].text);
			return true;
		}
	}
	*why = "it is not among what was kept";
	return false;
}

static void include_file(struct parse *p, const struct include *from, struct str name)
{
	struct conf *c = p->conf;
	struct str text;
	const char *why;

	if (c->file_n == FILES_MAX)
		conf_report_add(p->report, c, from->place, false, "more than %d files", FILES_MAX);
	else if (!fetch_text(p, name, &text, &why))
		conf_report_add(
			p->report, c, from->place, false, "cannot read " STR_FMT ": %s", STR_ARG(name), why);
	else if (p->root_only)
		add_file(c, name, text);
	else
		read_text(p, &included_object, c, add_file(c, name, text), text);
}

static void include_all(struct parse *p, const struct include *from, const char *pattern)
{
	glob_t found = {0};
	int failed = glob(pattern, 0, NULL, &found);

	if (failed && failed != GLOB_NOMATCH)
		conf_report_add(p->report, p->conf, from->place, false, "cannot look for %s", pattern);
	for (size_t i = 0; i < found.gl_pathc; i++)
		include_file(p, from, str_of(found.gl_pathv[i]));
	globfree(&found);
}

static void include(struct parse *p, const struct include *from)
{
	struct str dir = p->conf->names[0], path = from->pattern;

	if (!str_starts(path, STR("/"))) {
		while (dir.n && dir.p[dir.n - 1] != '/')
			dir.n--;
		path = arena_fmt(&p->scratch, STR_FMT STR_FMT, STR_ARG(dir), STR_ARG(path));
	}
	if (!strpbrk(from->pattern.p, "*?["))
		include_file(p, from, path);
	else if (!p->kept)
		include_all(p, from, path.p);
	for (uint32_t i = 1; p->kept && strpbrk(from->pattern.p, "*?[") && i < p->kept_n; i++)
		if (fnmatch(path.p, p->kept[i].name.p, FNM_PATHNAME | FNM_PERIOD) == 0)
			include_file(p, from, p->kept[i].name);
}

/* -- a load -- */

static struct conf *begin(struct parse *p, struct conf_report *report)
{
	struct conf *c = calloc(1, sizeof(*c));

	MUST(c);
	report_init(report);
	*p = (struct parse){.conf = c, .report = report};
	arena_init(&p->scratch, NULL);
	object_init(p, &root_object, c);
	c->refs = 1;
	arena_init(&c->arena, NULL);
	arena_init(&c->bytes, NULL);
	return c;
}

static void read_root(struct parse *p, const char *name, struct str text)
{
	read_text(p, &root_object, p->conf, add_file(p->conf, str_of(name), text), text);
	for (uint32_t i = 0; i < p->include_n; i++)
		include(p, &p->includes[i]);
}

static struct conf *finish(struct parse *p)
{
	struct conf *c = p->conf;

	c->tenants = arena_array(&c->arena, struct conf_tenant, c->tenant_n);
	if (c->tenant_n)
		memcpy(c->tenants, p->tenants, c->tenant_n * sizeof(*c->tenants));
	for (struct map_entry *e = map_next(&c->hosts, NULL); e; e = map_next(&c->hosts, e))
		e->value = &c->tenants[((const struct host_claim *)e->value)->tenant];
	modules_inherit(p);
	parse_inert_report(p);
	report_sort(p->report);
	free(p->tenants);
	map_free(&p->tenant_places);
	map_free(&p->module_index);
	map_free(&p->shared);
	map_free(&p->loaded);
	arena_free(&p->scratch);
	if (p->report->errors == 0)
		return c;
	conf_free(c);
	return NULL;
}

struct conf *conf_load_text(const char *name, struct str text, struct conf_report *report)
{
	struct parse p;

	begin(&p, report);
	read_root(&p, name, arena_str(&p.conf->bytes, text));
	return finish(&p);
}

struct conf *conf_load_kept(const struct conf_kept *v, uint32_t n, struct conf_report *report)
{
	struct parse p;

	begin(&p, report);
	p.kept = v;
	p.kept_n = n;
	read_root(&p, v[0].name.p, arena_str(&p.conf->bytes, v[0].text));
	return finish(&p);
}

struct conf *conf_load_members(const char *name, struct str text, struct conf_report *report)
{
	struct parse p;

	begin(&p, report);
	read_text(&p, &members_object, p.conf, add_file(p.conf, str_of(name), STR_NONE), text);
	return finish(&p);
}

/* A line break to libyaml besides \n: behind one, a key might begin that lines do not show. Most texts have not even the first byte of one. */
static bool has_other_breaks(struct str s)
{
	return memchr(s.p, '\r', s.n) || (memchr(s.p, 0xc2, s.n) && memmem(s.p, s.n, "\xc2\x85", 2)) ||
	       (memchr(s.p, 0xe2, s.n) &&
		       (memmem(s.p, s.n, "\xe2\x80\xa8", 3) || memmem(s.p, s.n, "\xe2\x80\xa9", 3)));
}

/* Finds the line `tenants:` that all lines after it belong to because they are indented, blank or comments, and cuts the text off before
 * it. A parser that has come that far without an error, and is not within a text in quotes or a flow collection, must see a key
 * of the root in it and nothing but its value in what follows; if it is within one, what was cut off leaves it
 * unfinished, which is an error. So a text that is good without its end says the same with it. */
static bool cut_tenants(struct str text, struct str *root)
{
	static const struct str key = STR("tenants:\n");
	const char *line = text.p, *end = text.p + text.n;

	while (!str_starts((struct str){line, (size_t)(end - line)}, key)) {
		line = memchr(line, '\n', (size_t)(end - line));
		if (!line++)
			return false;
	}
	*root = (struct str){text.p, (size_t)(line - text.p)};
	if (has_other_breaks(text))
		return false;
	for (line += key.n; line < end; line++) {
		if (*line != ' ' && *line != '#' && *line != '\n')
			return false;
		line = memchr(line, '\n', (size_t)(end - line));
		if (!line)
			break;
	}
	return true;
}

/* Included files hold nothing but tenants. */
static struct conf *load_beside_tenants(const char *path, bool texts, struct conf_report *report)
{
	struct parse p;
	struct conf *c = begin(&p, report);
	struct str text, root;
	const char *why;
	uint16_t file;

	p.root_only = true;
	if (load_file(&c->bytes, path, CONFIG_MAX, &text, &why)) {
		file = add_file(c, str_of(path), text);
		read_text(&p, &root_object, c, file, cut_tenants(text, &root) ? root : text);
		for (uint32_t i = 0; texts && i < p.include_n; i++)
			include(&p, &p.includes[i]);
	} else {
		add_file(c, str_of(path), STR_NONE);
		conf_report_add(report, c, (struct conf_place){0}, false, "cannot be read: %s", why);
	}
	return finish(&p);
}

struct conf *conf_load_root(const char *path, struct conf_report *report)
{
	struct conf *c = load_beside_tenants(path, false, report);

	if (c) {
		conf_forget_texts(c);
		return c;
	}
	conf_report_free(report);
	return conf_load(path, report);
}

struct conf *conf_load_texts(const char *path, struct conf_report *report)
{
	return load_beside_tenants(path, true, report);
}

struct conf *conf_load(const char *path, struct conf_report *report)
{
	struct str text;
	struct parse p;
	struct conf *c = begin(&p, report);
	const char *why;

	if (load_file(&c->bytes, path, CONFIG_MAX, &text, &why)) {
		read_root(&p, path, text);
	} else {
		add_file(c, str_of(path), STR_NONE);
		conf_report_add(report, c, (struct conf_place){0}, false, "cannot be read: %s", why);
	}
	return finish(&p);
}

struct conf *conf_ref(struct conf *c)
{
	c->refs++;
	return c;
}

void conf_free(struct conf *c)
{
	if (!c || --c->refs > 0)
		return;
	map_free(&c->hosts);
	arena_free(&c->bytes);
	arena_free(&c->arena);
	free(c);
}
