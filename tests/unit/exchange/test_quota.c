/* What one tenant has in use of its limits: on a clock that the test sets. */
#include "unit.h"
#include "base/obj.h"
#include "exchange/quota.h"

static struct slots slots;
static struct slot *slot;

static struct quota *fresh(void)
{
	slot = slot_acquire(&slots, STR("acme"));
	return quota_attach(&slots, slot);
}

static void gone(void)
{
	slot_release(&slots, slot);
	slots_free(&slots);
}

static unsigned requests_of(struct quota *q, const struct conf_tenant_limits *l, uint64_t now_us, unsigned n)
{
	unsigned let_in = 0;

	while (n--)
		let_in += quota_take_request(q, l, now_us);
	return let_in;
}

static void a_tenant_gets_its_rate_and_its_burst(void **state)
{
	struct conf_tenant_limits l = {.requests_per_second = 100, .burst = 20};
	struct quota *q = fresh();
	unsigned let_in = 0;

	(void)state;
	assert_int_equal(requests_of(q, &l, 1000000, 1000), 20);
	for (uint64_t ms = 1; ms <= 1000; ms++)
		let_in += requests_of(q, &l, 1000000 + ms * 1000, 10);
	assert_int_equal(let_in, 100);
	l.burst = 0;
	assert_int_equal(requests_of(q, &l, 9000000, 1000), 10);
	gone();
}

static void what_is_there_at_once_is_counted_exactly(void **state)
{
	struct quota *q = fresh();

	(void)state;
	assert_true(quota_take(&q->requests, 2));
	assert_true(quota_take(&q->requests, 2));
	assert_false(quota_take(&q->requests, 2));
	quota_give_back(&q->requests);
	assert_true(quota_take(&q->requests, 2));
	assert_true(quota_take(&q->requests, 0));
	assert_int_equal(q->requests, 3);
	gone();
}

static void a_connection_outlives_the_name_that_it_counts_for(void **state)
{
	struct quota *q = fresh(), *held = q;

	(void)state;
	assert_true(quota_take_connection(q, 1));
	assert_false(quota_take_connection(q, 1));
	gone();
	quota_connection_closed(&held);
	assert_null(held);
}

static void bytes_are_sold_at_the_tenants_rate(void **state)
{
	struct quota *q = fresh();
	const uint64_t bandwidth = 1000000;
	uint64_t sold = 0;

	(void)state;
	for (uint64_t ms = 0; ms <= 10000; ms += 100)
		sold += quota_buy_bytes(q, bandwidth, 1 << 20, 1000000 + ms * 1000);
	assert_in_range(sold, 10 * bandwidth, 10 * bandwidth + bandwidth / 2);
	gone();
}

static void bytes_that_were_not_sent_are_returned(void **state)
{
	struct quota *q = fresh();
	uint64_t bought;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		bought = quota_buy_bytes(q, 1000000, 1 << 20, 1000000);
		assert_in_range(bought, 250000, 400000);
		quota_return_bytes(q, 1000000, bought);
	}
	gone();
}

static void retries_are_a_share_of_the_requests(void **state)
{
	struct quota *q = fresh();
	unsigned retries = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		quota_earn_retry(q, 1000);
		retries += quota_spend_retry(q, 1000);
	}
	assert_in_range(retries, 100, 110);
	assert_true(quota_spend_retry(q, 10000));
	assert_false(quota_has_retry(q, 0));
	for (unsigned i = 0; i < 100000; i++)
		quota_earn_retry(q, 1000);
	for (retries = 0; quota_spend_retry(q, 1000);)
		retries++;
	assert_int_equal(retries, 100);
	gone();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tenant_gets_its_rate_and_its_burst),
		cmocka_unit_test(what_is_there_at_once_is_counted_exactly),
		cmocka_unit_test(a_connection_outlives_the_name_that_it_counts_for),
		cmocka_unit_test(bytes_are_sold_at_the_tenants_rate),
		cmocka_unit_test(bytes_that_were_not_sent_are_returned),
		cmocka_unit_test(retries_are_a_share_of_the_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
