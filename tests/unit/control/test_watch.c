/* Which files' changes are worth a reload. */
#include "unit.h"
#include "base/obj.h"
#include "control/watch.h"

static void configurations_count_and_their_neighbours_do_not(void **state)
{
	static struct str files[] = {
		STR("/etc/weir/weir.yaml"), STR("/etc/weir/tenants.d/acme.yml"), STR("/etc/weir/plain")};
	const struct conf conf = {.files = files, .file_n = COUNT_OF(files)};
	static const struct {
		const char *name;
		bool concerns;
	} cases[] = {
		{"weir.yaml", true},
		{"acme.yml", true},
		{"new.yaml", true},
		{"plain", true},
		{"..data", true},
		{"access.log", false},
		{".weir.yaml.swp", false},
		{"weir.yaml~", false},
		{"yaml", false},
		{"other", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (watch_concerns(&conf, str_of(cases[i].name)) != cases[i].concerns)
			fail_msg("%s", cases[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configurations_count_and_their_neighbours_do_not)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
