/* config/field.h - the table engine: a configuration object is a table of rows beside the struct that it fills.
 *
 * A row says all there is to know about a key: its type, the member it fills, the default, the range, and what it
 * means. The parser (field.c, type.c), the JSON Schema (schema.c) and the reference (reference.c) read the same rows. Every
 * problem is reported and skipped over: one run lists them all. */
#ifndef WEIR_CONFIG_FIELD_H
#define WEIR_CONFIG_FIELD_H

#include "config/conf.h"
#include "config/tree.h"

struct parse;
struct config_field;

/* What kind of value a key takes. Types are constants; a row points to one. */
struct config_type {
	const char *name; /* in the reference: "duration" */
	const char *plural; /* likewise, of what lists are of; NULL: the name and an s */
	const char *expects; /* in messages, behind "must be": "a duration such as 250ms, 5s, 2m or 1h" */
	const char *schema; /* the JSON Schema of a value, as text; NULL: schema.c makes it from the row */
	bool (*valid)(struct str s); /* of texts; NULL: any */
	bool (*read)(struct str s, uint64_t *v); /* of numbers */
	void (*write)(uint64_t v, struct text *out);
	/* Fills the row's member in obj, or reports why not and leaves it alone. */
	void (*parse)(struct parse *p, const struct config_field *f, const struct node *v, void *obj);
	/* Sets the default in a zeroed obj; NULL: zero it stays. */
	void (*init)(struct parse *p, const struct config_field *f, void *obj);
	/* Writes what the member holds, as it would stand in a file, nothing for null. NULL: it is not told (compare.h). */
	void (*say)(const struct config_field *f, const void *obj, struct text *out);
};

struct config_field {
	const char *key; /* NULL: the end of the table */
	const struct config_type *type;
	uint32_t offset; /* of the member */
	uint32_t size; /* of the member, where it is a number */
	uint32_t count_offset; /* LIST_OF, MAP_OF: of the number of elements, a uint32_t */
	uint32_t present; /* OBJECT: of a bool that says whether the key was there; 0: none */
	const char *doc;
	uint64_t dflt, min, max; /* numbers; max 0: what the member holds */
	const char *text; /* the default of texts, and of types of their own, as written in a file */
	const char *const *names; /* ENUM: the value is the index. Ends with NULL */
	const struct config_object *object; /* OBJECT, LIST_OF, MAP_OF, EMBED, CHOICE */
	const struct config_type
		*element; /* of lists of texts; of the keys of MAP_OF; of the values of PAIRS */
	void (*inherit)(void *element, const void *parent); /* MAP_OF: after the defaults, before the keys */
	uint32_t choice; /* CHOICE: the value */
	bool required, nullable;
	bool shared; /* EMBED_SHARED */
	bool inert; /* accepted and checked, but this version does not act on it: a warning */
	bool secret; /* not for messages and events */
	bool late; /* parsed after the other keys of its object, wherever it stands */
};

/* -- rows: ROW(key, struct, member, doc, .dflt = ..., .min = ..., FLAGS) -- */
#define MEMBER(s, m) .offset = offsetof(s, m), .size = sizeof(((s *)0)->m)
#define REQUIRED     .required = true
#define NULLABLE     .nullable = true
#define INERT        .inert = true
#define LATE         .late = true
#define SECRET       .secret = true
#define END \
	{ \
		.key = NULL \
	}

#define CUSTOM(k, t, s, m, d, ...) \
	{ \
		.key = k, .type = &t, MEMBER(s, m), .doc = d, ##__VA_ARGS__ \
	}
#define DURATION(k, s, m, d, ...) CUSTOM(k, type_duration, s, m, d, ##__VA_ARGS__)
#define COUNT(k, s, m, d, ...)    CUSTOM(k, type_count, s, m, d, ##__VA_ARGS__)
#define SIZE(k, s, m, d, ...)     CUSTOM(k, type_size, s, m, d, ##__VA_ARGS__)
#define SHARE(k, s, m, d, ...)    CUSTOM(k, type_share, s, m, d, .max = 10000, ##__VA_ARGS__)
#define BOOL(k, s, m, d, ...)     CUSTOM(k, type_bool, s, m, d, ##__VA_ARGS__)
#define STRING(k, s, m, d, ...)   CUSTOM(k, type_string, s, m, d, ##__VA_ARGS__)
/* A string that may have several lines. */
#define LINES(k, s, m, d, ...) CUSTOM(k, type_text, s, m, d, ##__VA_ARGS__)
#define PATH(k, s, m, d, ...)  CUSTOM(k, type_path, s, m, d, ##__VA_ARGS__)
/* A path that must be readable now. */
#define INPUT(k, s, m, d, ...)   CUSTOM(k, type_input, s, m, d, ##__VA_ARGS__)
#define ENUM(k, s, m, n, d, ...) CUSTOM(k, type_enum, s, m, d, .names = n, ##__VA_ARGS__)
/* A struct conf_strs; e is the type of its elements. */
#define STRINGS(k, s, m, e, d, ...) CUSTOM(k, type_strings, s, m, d, .element = &e, ##__VA_ARGS__)
/* A struct cidr pointer and its count. */
#define NETWORKS(k, s, m, c, d, ...) \
	CUSTOM(k, type_networks, s, m, d, .count_offset = offsetof(s, c), ##__VA_ARGS__)
#define OBJECT(k, s, m, o, d, ...) CUSTOM(k, type_object, s, m, d, .object = &o, ##__VA_ARGS__)
#define LIST_OF(k, s, m, c, o, d, ...) \
	CUSTOM(k, type_list, s, m, d, .count_offset = offsetof(s, c), .object = &o, ##__VA_ARGS__)
/* Keys are names of headers, values texts of type t. */
#define PAIRS(k, s, m, c, t, d, ...) \
	CUSTOM(k, type_pairs, s, m, d, .count_offset = offsetof(s, c), .element = &t, ##__VA_ARGS__)
/* Keys are names of the user's choice, in o's `name`. */
#define MAP_OF(k, s, m, c, o, d, ...) \
	CUSTOM(k, type_map, s, m, d, .count_offset = offsetof(s, c), .object = &o, .element = &type_name, \
		##__VA_ARGS__)
/* The rows of o, about member m, stand among this object's as if written here. text: what the reference says about their
 * defaults, if something else than the rows do. */
#define EMBED(s, m, o, ...) CUSTOM("", type_embed, s, m, "", .object = &o, ##__VA_ARGS__)
/* The same, and m is a pointer to a const struct that all who say the same in it have together. One of these in an object. */
#define EMBED_SHARED(s, m, o, ...) EMBED(s, m, o, .shared = true, ##__VA_ARGS__)
/* A struct conf_modules; level: enum conf_module_level. */
#define MODULES(s, m, level) \
	CUSTOM("modules", type_modules, s, m, \
		"what modules do here, by their names; `off` switches one off that a wider level has on", \
		.choice = level)
/* An object whose members lie in the struct of the row itself. */
#define WITHIN(k, o, d, ...) \
	{ \
		.key = k, .type = &type_within, .object = &o, .doc = d, ##__VA_ARGS__ \
	}
/* One of several objects, all of them members of s; m says which (an enum in a uint8_t). */
#define CHOICE(k, s, m, v, o, d, ...) \
	CUSTOM(k, type_choice, s, m, d, .choice = v, .object = &o, ##__VA_ARGS__)

/* Every object; docs and schema follow this order. */
enum config_object_id {
	OBJECT_ROOT,
	OBJECT_INCLUDED,
	OBJECT_LOG,
	OBJECT_LOG_ACCESS,
	OBJECT_LOG_EVENTS,
	OBJECT_ADMIN,
	OBJECT_ADMIN_TLS,
	OBJECT_TOKEN,
	OBJECT_LISTENER,
	OBJECT_LISTENER_TLS,
	OBJECT_CERT,
	OBJECT_HTTP2,
	OBJECT_TIMEOUTS,
	OBJECT_LIMITS,
	OBJECT_RESOLVER,
	OBJECT_TENANT,
	OBJECT_TENANT_LIMITS,
	OBJECT_SERVICE,
	OBJECT_SPLIT,
	OBJECT_OVERRIDE,
	OBJECT_MIRROR,
	OBJECT_POOL,
	OBJECT_BACKEND,
	OBJECT_MEMBERS,
	OBJECT_POLICY,
	OBJECT_HEALTH,
	OBJECT_HEALTH_HTTP,
	OBJECT_HEALTH_TCP,
	OBJECT_HEALTH_TLS,
	OBJECT_HEALTH_GRPC,
	OBJECT_OUTLIER,
	OBJECT_RETRIES,
	OBJECT_BREAKER,
	OBJECT_ADAPTIVE,
	OBJECT_STICK,
	OBJECT_UPSTREAM_TLS,
	OBJECT_ROUTE,
	OBJECT_REDIRECT,
	OBJECT_REQUEST_HEADERS,
	OBJECT_RESPONSE_HEADERS,
	OBJECTS,
	OBJECT_MODULE, /* all objects of modules: their order is that of their paths */
};

struct config_object {
	uint8_t id; /* enum config_object_id */
	const char *path; /* "listeners.NAME.tls": heading in the reference, name in the schema; unique */
	const char *what; /* "tls": in messages */
	const char *doc; /* a sentence or two for the reference */
	uint32_t size; /* of the struct */
	uint32_t place_offset; /* of a struct conf_place for where it stood; 0: none */
	uint32_t digest_offset; /* of a uint64_t for the digest of what is written there; 0: none */
	const char *digest_without; /* the key whose value is not part of it; NULL: all are */
	const struct config_field *fields;
	/* A text instead of a mapping stands for {short_key: text}; NULL: not allowed. */
	const char *short_key;
	/* After the rows: what several keys must fulfil together. */
	void (*check)(struct parse *p, const struct node *v, void *obj);
};

/* Which object is being parsed, for `in pool "green"`; innermost first. */
struct scope {
	const struct config_object *object;
	struct str name; /* empty: it has none */
	const struct scope *up;
};

#define INDEX_ROWS  64
#define INDEX_SLOTS 128

/* The rows of one object by key, embedded ones too, and its defaults as bytes. Made at its first use in a load. */
struct config_index {
	uint8_t slots[INDEX_SLOTS]; /* row + 1, by hash; 0: free */
	struct {
		struct str key;
		const struct config_field *field;
		uint32_t base; /* offset of the struct that field speaks of */
		bool shared; /* base counts from the draft of what `shared` points to */
	} rows[INDEX_ROWS];
	const struct config_field *shared; /* EMBED_SHARED; NULL: the object has none */
	void *draft; /* where one of its objects at a time puts together what it says there */
	uint32_t n;
	uint64_t required; /* by row */
	void *defaults;
};

/* Something that is accepted but does nothing yet: told once, however often it is written. */
struct inert_note {
	const void *id;
	const char *what;
	struct conf_place first;
	uint32_t times;
};

#define INERT_NOTES 64

/* An element of `include`. */
struct include {
	struct str pattern;
	struct conf_place place;
};

/* One load. */
struct parse {
	struct conf *conf;
	struct conf_report *report;
	struct arena scratch; /* freed when the load ends */
	const struct scope *scope;
	const struct config_index *index[OBJECTS];
	struct map module_index; /* of OBJECT_MODULE: by path */
	struct map loaded; /* modules from shared objects that this file has named, by name */
	struct inert_note notes[INERT_NOTES];
	uint32_t note_n;
	/* fields_tenant.c: tenants come one by one, from several files */
	struct conf_tenant *tenants; /* malloc */
	uint32_t tenant_cap;
	struct map tenant_places; /* name -> struct conf_place */
	struct include *includes;
	uint32_t include_n;
	const struct conf_kept *kept; /* read instead of files; NULL: files are */
	uint32_t kept_n;
	struct map shared; /* what EMBED_SHARED leads to, by its bytes */
	bool root_only; /* of what is included the texts alone are wanted */
};

/* Parsing one object in pieces, for the root, which is read key by key. */
struct object_pass {
	const struct config_object *object;
	const struct config_index *index;
	void *obj;
	uint64_t seen; /* by row */
	uint64_t meant; /* by row: an unknown key resembles it */
	uint32_t row; /* of the key that was named last */
	void *draft; /* what this object says of what is shared, until all of it is known; NULL: nothing */
	struct {
		const struct node *value;
		uint32_t row;
	} late[2];
	uint32_t late_n;
	struct scope scope;
};

void object_begin(
	struct parse *p, struct object_pass *pass, const struct config_object *o, struct str name, void *obj);
/* The key's row; NULL if it is unknown or there twice: then its value is passed over. */
const struct config_field *object_key(struct parse *p, struct object_pass *pass, const struct node *key);
/* The value of that key. */
void object_value(struct parse *p, struct object_pass *pass, const struct node *value);
/* v: the whole mapping if there is one, else NULL. at: where missing keys are reported. */
void object_end(struct parse *p, struct object_pass *pass, const struct node *v, struct conf_place at);

/* Fills a zeroed obj with o's defaults. */
void object_init(struct parse *p, const struct config_object *o, void *obj);
/* The same for a row whose object's members lie in obj itself, among others. */
void object_init_within(struct parse *p, const struct config_field *f, void *obj);
/* Over what is in obj already. */
void object_parse(
	struct parse *p, const struct config_object *o, struct str name, const struct node *v, void *obj);
/* Whether a mapping of that object has an unknown key that is nearest to this one: it is there, then, but misspelt. */
bool object_misspells(struct parse *p, const struct config_object *o, const struct node *v, struct str key);
/* One entry of a MAP_OF into a zeroed element. */
void element_parse(struct parse *p, const struct config_field *f, const struct node *key,
	const struct node *v, void *element, const void *parent);

/* -- for types -- */
/* An error where n stands. */
__attribute__((format(printf, 3, 4))) void parse_error(
	struct parse *p, const struct node *n, const char *fmt, ...);
/* `"KEY" must be EXPECTS, not "abc"` */
void parse_bad(struct parse *p, const struct config_field *f, const struct node *v, const char *expects);
/* A text that is printed in a message: quoted, without control bytes, not too long. In scratch. */
const char *parse_quote(struct parse *p, struct str s);
void parse_inert(struct parse *p, const void *id, const char *what, const struct node *at);
/* Reports the notes as warnings. */
void parse_inert_report(struct parse *p);
/* A text that is valid for the type, copied to the conf; false after an error. */
bool parse_text(struct parse *p, const struct config_field *f, const struct config_type *t,
	const struct node *v, struct str *out);
/* Takes a list, or one text for a list of one: calls `each` for every text. */
void parse_list(struct parse *p, const struct config_field *f, const struct node *v,
	void (*each)(struct parse *p, const struct config_field *f, const struct node *e, void *obj),
	void *obj);
/* The path as written, absolute: relative ones start at the directory of the file that n stands in. */
struct str parse_path(struct parse *p, const struct node *n);

static inline void *field_member(const struct config_field *f, void *obj)
{
	return (char *)obj + f->offset;
}

static inline const void *field_member_const(const struct config_field *f, const void *obj)
{
	return (const char *)obj + f->offset;
}

/* EMBED_SHARED: where the pointer lies. */
static inline const void *const *field_shared(const struct config_field *f, const void *obj)
{
	return field_member_const(f, obj);
}

static inline uint32_t *field_count(const struct config_field *f, void *obj)
{
	return (uint32_t *)(void *)((char *)obj + f->count_offset);
}

/* -- type.c -- */
/* For types with a `valid` or a number's member of their own. */
void type_text_parse(struct parse *p, const struct config_field *f, const struct node *v, void *obj);
void type_text_init(struct parse *p, const struct config_field *f, void *obj);
void type_number_init(struct parse *p, const struct config_field *f, void *obj);
/* For types that fill a struct str with what was written, a number that has a `write`, or a struct conf_strs. */
void type_text_say(const struct config_field *f, const void *obj, struct text *out);
void type_number_say(const struct config_field *f, const void *obj, struct text *out);
void type_strings_say(const struct config_field *f, const void *obj, struct text *out);
extern const struct config_type type_count, type_duration, type_size, type_share, type_bool, type_string,
	type_text, type_path, type_input, type_enum, type_strings, type_networks;
/* Texts with a syntax: names of tenants, services, pools; RFC 9110 5.6.2 tokens; 5.5 field values; names of fields that weir does not write
 * itself, and mappings of such names to values: struct conf_pair, with a count (fields_headers.c). */
extern const struct config_type type_name, type_token, type_header_value, type_header_name, type_pairs;
/* -- field.c -- */
extern const struct config_type type_object, type_list, type_map, type_embed, type_within, type_choice;
/* -- module.c -- */
extern const struct config_type type_modules;
/* -- fields_policy.c: a struct conf_upstream_tls, for modules too that have somebody to ask -- */
extern const struct config_object upstream_tls_object;
/* -- fields_headers.c: about a struct conf_headers -- */
extern const struct config_object request_headers_object, response_headers_object;
/* A struct template; the row's choice: enum template_when, what is known where it is used. */
extern const struct config_type type_template;
#define TEMPLATE(k, s, m, w, d, ...) CUSTOM(k, type_template, s, m, d, .choice = w, ##__VA_ARGS__)

#endif
