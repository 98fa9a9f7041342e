/* Loading a configuration from a text in a test, and asking what the report says. */
#ifndef WEIR_TEST_CONF_TEXT_H
#define WEIR_TEST_CONF_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "config/conf.h"

/* One load; freed by loaded_free(). */
struct loaded {
	struct conf *conf; /* NULL: it was refused */
	struct conf_report report;
	char *said; /* the report as text */
};

static inline struct loaded load_named(const char *name, const char *text)
{
	struct loaded l;

	l.conf = conf_load_text(name, str_of(text), &l.report);
	l.said = conf_report_text(&l.report);
	assert_int_equal(l.conf == NULL, l.report.errors > 0);
	return l;
}

static inline struct loaded load_text(const char *text)
{
	return load_named("c.yaml", text);
}

static inline void loaded_free(struct loaded *l)
{
	conf_free(l->conf);
	conf_report_free(&l->report);
	free(l->said);
}

/* The report of the text, to the letter. */
static inline void says(const char *text, const char *expected)
{
	struct loaded l = load_text(text);

	assert_string_equal(l.said, expected);
	loaded_free(&l);
}

/* A line to begin with: what every file needs. */
#define LISTEN "listeners: {http: {address: \"127.0.0.1:8080\"}}\n"
/* Begins on line 3. */
#define SERVICE(...) LISTEN "tenants: {acme: {hosts: [a.test], services: {shop: {\n" __VA_ARGS__ "}}}}\n"
#define POOLS        "pools: {blue: {backends: [\"127.0.0.1:9001\"]}}"
#define ROUTES(...) \
	LISTEN "tenants:\n  acme:\n    hosts: [a.test, \"*.b.test\"]\n    services: {shop: {" POOLS \
	       "}}\n    routes:\n" __VA_ARGS__

#endif
