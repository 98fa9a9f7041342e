/* modules/geo/database.h - a MaxMind DB file (MMDB 2.0) in memory: what it says about an address.
 *
 * The file is read as a whole into memory of our own, not mapped: whoever truncates or overwrites it in place cannot reach a lookup
 * that is under way. Const once open, and shared by all workers; opened, shared and released on the control thread. */
#ifndef WEIR_MODULES_GEO_DATABASE_H
#define WEIR_MODULES_GEO_DATABASE_H

#include "exchange/module.h"

/* Not in a database: an address that it does not know, or a member that it has not. ISO 3166 leaves ZZ to its users. */
#define GEO_UNKNOWN STR("ZZ")

/* Texts lie in the database. Empty, 0: not known. */
struct geo_place {
	struct str country, subdivision, city, org;
	uint32_t asn;
};

struct geo_database;

/* NULL with err: it cannot be read, or is none, or is damaged. */
struct geo_database *geo_database_open(const char *path, char *err, size_t err_n);
/* Is it what lies under that path now? */
bool geo_database_is_current(const struct geo_database *db, const char *path);
struct geo_database *geo_database_ref(struct geo_database *db);
/* NULL is fine. */
void geo_database_unref(struct geo_database *db);

/* Adds what it knows to *place. language: of the city's name, "en". What is damaged below a sound tree counts as not known. */
void geo_database_find(const struct geo_database *db, const struct addr *client, const char *language,
	struct geo_place *place);

#endif
