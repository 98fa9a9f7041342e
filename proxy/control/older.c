#include "control/older.h"

#include <stdio.h>
#include "base/obj.h"

static const char *const texts[] = {"version"};
static const char *const numbers[] = {"pid", "connections", "requests", "websockets", "streams"};

/* What is known here of a process, of all that its message says: it may be of another version. */
static json_t *what_it_says(const json_t *message, uint64_t now_ms)
{
	const json_t *ends_in = json_object_get(message, "ends_in_ms");
	json_t *said = json_object();

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		const char *text = json_string_value(json_object_get(message, texts[i]));

		json_object_set_new(said, texts[i], json_string(text ? text : ""));
	}
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		json_object_set_new(said, numbers[i],
			json_integer(json_integer_value(json_object_get(message, numbers[i]))));
	if (json_is_integer(ends_in))
		json_object_set_new(said, "ends_ms",
			json_integer((json_int_t)now_ms + MAX(json_integer_value(ends_in), 0)));
	return said;
}

void older_heard(struct older *o, const json_t *message, uint64_t now_ms)
{
	json_int_t pid = json_integer_value(json_object_get(message, "pid"));
	char key[24];

	snprintf(key, sizeof(key), "%lld", (long long)pid);
	if (!o->said)
		o->said = json_object();
	if (json_is_true(json_object_get(message, "ended")))
		json_object_del(o->said, key);
	else
		json_object_set_new(o->said, key, what_it_says(message, now_ms));
}

json_t *older_list(const struct older *o, uint64_t now_ms)
{
	json_t *list = json_array(), *said;
	const char *key;

	json_object_foreach(o->said, key, said)
	{
		json_t *one = json_copy(said);
		json_int_t ends_ms = json_integer_value(json_object_get(one, "ends_ms"));

		if (json_object_del(one, "ends_ms") == 0)
			json_object_set_new(one, "ends_in_s",
				json_real((double)MAX(ends_ms - (json_int_t)now_ms, 0) / 1000));
		json_array_append_new(list, one);
	}
	return list;
}

uint64_t older_count(const struct older *o)
{
	return json_object_size(o->said);
}

uint64_t older_left(const struct older *o, const char *what)
{
	uint64_t n = 0;
	const char *key;
	json_t *said;

	json_object_foreach(o->said, key, said)
	{
		n += (uint64_t)json_integer_value(json_object_get(said, what));
	}
	return n;
}

void older_free(struct older *o)
{
	json_decref(o->said);
	o->said = NULL;
}
