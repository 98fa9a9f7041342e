/* control/exposition.h: metrics as text, in both formats. */
#include "unit.h"
#include "base/obj.h"
#include "control/exposition.h"

static bool has(const struct exposition *e, const char *text)
{
	return memmem(e->p, e->n, text, strlen(text)) != NULL;
}

static void put_some(struct exposition *e)
{
	const struct str pool[] = {STR("acme"), STR("shop"), STR("blue")};

	exposition_family(e, METRIC_GENERATION);
	exposition_count(e, STR_NONE, 7);
	exposition_family(e, METRIC_PROCESS_CPU);
	exposition_millionths(e, STR_NONE, 12034567);
	exposition_family(e, METRIC_RELOADS); /* has no samples: is left out */
	exposition_family(e, METRIC_REQUESTS);
	exposition_of(e, pool, 3);
	exposition_count(e, STR("200"), 12);
	exposition_count(e, STR("502"), 1);
	exposition_end(e);
}

static void openmetrics_names_counters_without_their_suffix_and_ends_with_eof(void **state)
{
	struct exposition e;

	(void)state;
	exposition_init(&e, true);
	put_some(&e);
	assert_str(((struct str){e.p, e.n}),
		"# HELP weir_config_generation Number of the configuration that is served.\n"
		"# TYPE weir_config_generation gauge\n"
		"weir_config_generation 7\n"
		"# HELP process_cpu_seconds Processor time taken by the process, user and system.\n"
		"# TYPE process_cpu_seconds counter\n"
		"# UNIT process_cpu_seconds seconds\n"
		"process_cpu_seconds_total 12.034567\n"
		"# HELP weir_requests Requests that have ended, by status; 0: the client got none, 499: it "
		"went away first.\n"
		"# TYPE weir_requests counter\n"
		"weir_requests_total{tenant=\"acme\",service=\"shop\",pool=\"blue\",code=\"200\"} 12\n"
		"weir_requests_total{tenant=\"acme\",service=\"shop\",pool=\"blue\",code=\"502\"} 1\n"
		"# EOF\n");
	assert_false(e.cut);
	exposition_free(&e);
}

static void the_older_format_names_counters_in_full_and_knows_no_units(void **state)
{
	struct exposition e;

	(void)state;
	exposition_init(&e, false);
	put_some(&e);
	assert_true(has(&e, "# TYPE weir_requests_total counter\n"));
	assert_false(has(&e, "# UNIT"));
	assert_false(has(&e, "EOF"));
	exposition_free(&e);
}

static void no_bytes_in_a_label_break_out_of_it(void **state)
{
	const struct str pool[] = {STR("a\"} 1\nx{"), STR("back\\slash"), STR("\xff\x01")};
	struct exposition e;

	(void)state;
	exposition_init(&e, true);
	exposition_family(&e, METRIC_POOL_WEIGHT);
	exposition_of(&e, pool, 3);
	exposition_count(&e, STR_NONE, 1);
	exposition_end(&e);
	assert_true(has(&e, "weir_pool_weight{tenant=\"a\\\"} "
			    "1\\nx{\",service=\"back\\\\slash\",pool=\"??\"} 1\n# EOF\n"));
	exposition_free(&e);
}

/* The number behind the first line that begins so. */
static double sample(const struct exposition *e, const char *line)
{
	const char *at = memmem(e->p, e->n, line, strlen(line));

	assert_non_null(at);
	return strtod(at + strlen(line), NULL);
}

static void a_histogram_counts_up_to_each_bound(void **state)
{
	const struct str pool[] = {STR("acme"), STR("shop"), STR("blue")};
	uint64_t counts[HISTOGRAM_BUCKETS] = {0};
	struct exposition e;
	char line[160];

	(void)state;
	counts[histogram_bucket(1000)] = 2;
	counts[histogram_bucket(1001)] = 3;
	counts[histogram_bucket(60000001)] = 4;
	counts[HISTOGRAM_BUCKETS - 1] = 1;
	exposition_init(&e, true);
	exposition_family(&e, METRIC_DURATION);
	exposition_of(&e, pool, 3);
	exposition_histogram(&e, counts, 1500000);
	exposition_end(&e);
#define LABELS "tenant=\"acme\",service=\"shop\",pool=\"blue\""
	static const struct {
		const char *le;
		double n;
	} want[] = {{"0.0005", 0}, {"0.001", 2}, {"0.0025", 5}, {"60.0", 5}, {"+Inf", 10}};

	for (size_t i = 0; i < COUNT_OF(want); i++) {
		snprintf(line, sizeof(line), "weir_request_duration_seconds_bucket{" LABELS ",le=\"%s\"} ",
			want[i].le);
		assert_true(sample(&e, line) == want[i].n);
	}
	assert_true(sample(&e, "weir_request_duration_seconds_sum{" LABELS "} ") == 1.5);
	assert_true(sample(&e, "weir_request_duration_seconds_count{" LABELS "} ") == 10);
	exposition_free(&e);
}

static void every_metric_is_named_as_its_type_and_unit_want_it(void **state)
{
	(void)state;
	for (int m = 0; m < METRICS; m++) {
		const struct metric_row *row = &metric_rows[m];
		bool total = str_ends(row->name, STR("_total"));
		struct str base = str_head(row->name, row->name.n - (total ? 6 : 0));
		struct str labels = row->labels, label;
		uint32_t n = 0;

		assert_int_equal(total, row->type == METRIC_COUNTER);
		assert_true(str_ends(base, row->unit));
		assert_true(str_ends(row->help, STR(".")));
		while (str_next_element(&labels, &label))
			n++;
		assert_true(n <= METRIC_LABELS_MAX);
		for (int other = 0; other < m; other++)
			assert_false(str_eq(metric_rows[other].name, row->name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openmetrics_names_counters_without_their_suffix_and_ends_with_eof),
		cmocka_unit_test(the_older_format_names_counters_in_full_and_knows_no_units),
		cmocka_unit_test(no_bytes_in_a_label_break_out_of_it),
		cmocka_unit_test(a_histogram_counts_up_to_each_bound),
		cmocka_unit_test(every_metric_is_named_as_its_type_and_unit_want_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
