/* health: one endpoint from its first failure to its return, by a clock that is set by hand. */
// SPDX-License-Identifier: Apache-2.0
#include "pick/health.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "support/objects.h"

#define START_MS 3600000u

/* Zero, as shared memory begins. */
static struct health health;
static struct health_rules rules;
static uint64_t now_ms;

static int setup(void **state)
{
	(void)state;
	memset(&health, 0, sizeof(health));
	rules = HEALTH_DEFAULTS;
	now_ms = START_MS;
	return 0;
}

static uint64_t key_of(const char *ip, uint16_t port, uint64_t uid_hash)
{
	struct table_endpoint endpoint = {.address = ip_of(ip), .port = port, .uid_hash = uid_hash};

	return health_key(&endpoint);
}

static enum health_state look(uint64_t key)
{
	return health_look(&health, key, now_ms);
}

static bool failed(uint64_t key, uint64_t random)
{
	return health_failure(&health, &rules, key, now_ms, random);
}

static bool claim(uint64_t key)
{
	return health_claim_probe(&health, &rules, key, now_ms);
}

/* Moves the clock to the end of the ejection. */
static uint64_t wait_half_open(uint64_t key)
{
	uint64_t from_ms = now_ms;

	while (look(key) == HEALTH_EJECTED && now_ms < from_ms + 2 * HEALTH_LONGEST_MS)
		now_ms++;
	assert_int_equal(look(key), HEALTH_HALF_OPEN);
	return now_ms - from_ms;
}

static void test_nothing_is_recorded_at_first(void **state)
{
	struct health untouched = {0};
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	assert_true(health_is_quiet(&health));
	assert_int_equal(look(key), HEALTH_GOOD);
	assert_false(claim(key));
	health_success(&health, key);
	assert_memory_equal(&health, &untouched, sizeof(health));
}

static void test_one_failure_ejects(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	assert_true(failed(key, 0));
	assert_false(health_is_quiet(&health));
	assert_int_equal(look(key), HEALTH_EJECTED);
	assert_int_equal(look(key_of("10.1.0.2", 80, 1)), HEALTH_GOOD);
}

/* The n-th ejection in a row lasts half + random(half). */
static void test_ejections_grow_with_jitter(void **state)
{
	static const unsigned half_s[] = {5, 10, 20, 40, 80, 150, 150, 150};
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	for (unsigned jittered = 0; jittered < 2; jittered++) {
		setup(NULL);
		for (unsigned i = 0; i < sizeof(half_s) / sizeof(half_s[0]); i++) {
			uint64_t half_ms = half_s[i] * 1000;

			assert_true(failed(key, jittered ? half_ms : 0));
			assert_int_equal(wait_half_open(key), jittered ? 2 * half_ms : half_ms);
			assert_true(claim(key));
		}
	}
}

static void test_jitter_is_even(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);
	uint64_t random = 7;
	unsigned buckets[5] = {0};

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t longer_ms;

		assert_true(
			failed(key, (uint64_t)test_random(&random) << 32 | test_random(&random)));
		longer_ms = wait_half_open(key) - 5000;
		assert_in_range(longer_ms, 0, 5000);
		buckets[longer_ms == 5000 ? 4 : longer_ms / 1000]++;
		health_success(&health, key);
	}
	for (unsigned i = 0; i < 5; i++)
		assert_in_range(buckets[i], 140, 260);
}

/* Many processes fail at one instant: that is one ejection. */
static void test_late_failures_do_not_lengthen(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	assert_true(failed(key, 0));
	for (unsigned i = 0; i < 50; i++) {
		now_ms += 10;
		assert_false(failed(key, 5000));
	}
	assert_int_equal(wait_half_open(key), 5000 - 500);
}

static bool suspected(uint64_t key)
{
	return health_suspect(&health, &rules, key, now_ms, 0);
}

static void test_a_suspect_is_avoided_for_a_second(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	assert_false(suspected(key));
	assert_int_equal(look(key), HEALTH_EJECTED);
	/* Others that began before it was avoided say nothing new. */
	assert_false(suspected(key));
	now_ms += HEALTH_SUSPECT_MS;
	assert_int_equal(look(key), HEALTH_GOOD);
	/* The second one is a failure. */
	assert_true(suspected(key));
	assert_int_equal(look(key), HEALTH_EJECTED);
	now_ms += HEALTH_SUSPECT_MS;
	assert_int_equal(look(key), HEALTH_EJECTED);
	/* So is a probe that gets no answer. */
	wait_half_open(key);
	assert_true(claim(key));
	assert_true(suspected(key));
	assert_int_equal(look(key), HEALTH_EJECTED);
}

static void test_a_suspect_is_probed_at_once(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	assert_false(suspected(key));
	assert_true(health_is_to_probe(&health, key, now_ms));
	now_ms += HEALTH_SUSPECT_MS / 2;
	assert_true(claim(key));
	assert_false(claim(key));
	assert_false(health_any_to_probe(&health, now_ms));
	/* For as long as the probe may take. */
	now_ms += HEALTH_SUSPECT_MS / 2 + 1;
	assert_int_equal(look(key), HEALTH_EJECTED);
	assert_true(failed(key, 0));
	assert_int_equal(look(key), HEALTH_EJECTED);
}

/* The thread that probes looks once a second, and so may come too late. */
static void test_a_suspect_is_probed_afterwards(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	assert_false(suspected(key));
	now_ms += HEALTH_SUSPECT_MS + 1;
	assert_int_equal(look(key), HEALTH_GOOD);
	assert_true(claim(key));
	assert_int_equal(look(key), HEALTH_EJECTED);
	/* Without an outcome it is good, as it would be without a probe. */
	now_ms += rules.probe_ms;
	assert_int_equal(look(key), HEALTH_GOOD);
	assert_false(claim(key));
}

static void test_only_what_is_wanted_is_to_be_probed(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);
	uint64_t other = key_of("10.1.0.2", 80, 2);

	(void)state;
	health_want(&health, key, now_ms); /* nothing is held against it */
	assert_true(failed(key, 0));
	assert_true(failed(other, 0));
	health_want(&health, other, now_ms);
	assert_false(health_any_to_probe(&health, now_ms));
	wait_half_open(key);
	assert_true(health_any_to_probe(&health, now_ms));
	assert_true(health_is_to_probe(&health, other, now_ms));
	assert_false(health_is_to_probe(&health, key, now_ms));
	health_want(&health, key, now_ms);
	assert_true(health_is_to_probe(&health, key, now_ms));
	/* Each probe asks anew. */
	assert_true(claim(key));
	assert_true(claim(other));
	assert_true(failed(other, 0));
	assert_false(health_any_to_probe(&health, now_ms + HEALTH_LONGEST_MS));
}

static void test_a_suspect_that_answers_is_good(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	assert_false(suspected(key));
	health_success(&health, key);
	assert_int_equal(look(key), HEALTH_GOOD);
	assert_false(suspected(key));
	/* What refuses meanwhile is ejected as ever. */
	assert_true(failed(key, 0));
	assert_int_equal(look(key), HEALTH_EJECTED);
}

static void test_a_threshold_counts_failures_in_a_row(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	rules.failures = 3;
	for (unsigned round = 0; round < 2; round++) {
		assert_false(failed(key, 0));
		assert_int_equal(look(key), HEALTH_GOOD);
		assert_false(failed(key, 0));
		assert_int_equal(look(key), HEALTH_GOOD);
		assert_false(claim(key));
		health_success(&health, key);
	}
	assert_false(failed(key, 0));
	now_ms += 1000;
	assert_false(failed(key, 0));
	now_ms += 1000;
	assert_true(failed(key, 0));
	assert_int_equal(look(key), HEALTH_EJECTED);
	/* From now on one failure is enough. */
	wait_half_open(key);
	assert_true(claim(key));
	assert_true(failed(key, 0));
}

static void test_one_caller_probes(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	failed(key, 0);
	assert_false(claim(key));
	wait_half_open(key);
	assert_true(claim(key));
	assert_false(claim(key));
	assert_int_equal(look(key), HEALTH_EJECTED);
	now_ms += rules.probe_ms - 1;
	assert_false(claim(key));
	assert_int_equal(look(key), HEALTH_EJECTED);
}

static void test_a_good_probe_clears(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	failed(key, 0);
	wait_half_open(key);
	assert_true(claim(key));
	health_success(&health, key);
	assert_int_equal(look(key), HEALTH_GOOD);
	/* The next one is a first ejection again. */
	assert_true(failed(key, 0));
	assert_int_equal(wait_half_open(key), 5000);
}

static void test_an_abandoned_probe_expires(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	failed(key, 0);
	wait_half_open(key);
	assert_true(claim(key));
	assert_int_equal(wait_half_open(key), rules.probe_ms);
	assert_true(claim(key));
	assert_false(claim(key));
}

/* By programs that close their sockets before anybody sees what became of them: they neither say
 * that the endpoint is good, nor hold it half-open for ever. */
static void test_probes_that_tell_nothing_end(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);
	uint64_t from_ms;

	(void)state;
	failed(key, 0);
	wait_half_open(key);
	from_ms = now_ms;
	while (look(key) != HEALTH_GOOD && now_ms - from_ms <= HEALTH_KEEP_MS) {
		claim(key);
		now_ms += rules.probe_ms;
	}
	assert_int_equal(look(key), HEALTH_GOOD);
	assert_in_range(now_ms - from_ms, 200000, HEALTH_KEEP_MS);
	/* And the next one is a first ejection again. */
	assert_true(failed(key, 0));
	assert_int_equal(wait_half_open(key), 5000);
}

/* Whoever it comes from: one that was connecting since before. */
static void test_any_success_clears(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	failed(key, 0);
	health_success(&health, key);
	assert_int_equal(look(key), HEALTH_GOOD);
}

static void test_endpoints_are_told_apart(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		uint64_t uid_hash;
	} others[] = {
		{"10.1.0.1", 80, 2}, /* a new pod on the old address */
		{"10.1.0.1", 80, 0}, /* unknown is not the same */
		{"10.1.0.1", 81, 1}, {"10.1.0.2", 80, 1}, {"fd00::1", 80, 1},
	};

	(void)state;
	failed(key_of("10.1.0.1", 80, 1), 0);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		uint64_t key = key_of(others[i].ip, others[i].port, others[i].uid_hash);

		assert_int_equal(look(key), HEALTH_GOOD);
		health_success(&health, key);
		assert_int_equal(look(key_of("10.1.0.1", 80, 1)), HEALTH_EJECTED);
	}
	failed(key_of("10.1.0.3", 80, 0), 0);
	assert_int_equal(look(key_of("10.1.0.3", 80, 0)), HEALTH_EJECTED);
}

/* Nobody asked for it for long: nothing is left, and calls are cheap again. */
static void test_records_end(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_true(failed(key, 0));
		wait_half_open(key);
	}
	now_ms += HEALTH_KEEP_MS - 1;
	assert_int_equal(look(key), HEALTH_HALF_OPEN);
	now_ms += 1;
	assert_int_equal(look(key), HEALTH_GOOD);
	assert_true(health_is_quiet(&health));
	assert_false(claim(key));
	assert_true(failed(key, 0));
	assert_int_equal(wait_half_open(key), 5000);
}

/* A set has room for four; the one that ends first makes room. */
static void test_a_full_set_forgets_the_first_to_end(void **state)
{
	uint64_t keys[5];

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		keys[i] = (uint64_t)(i + 1) << 32 | 17;
	for (unsigned i = 0; i < 4; i++)
		assert_true(failed(keys[i], i == 2 ? 0 : 1000 + i));
	assert_true(failed(keys[4], 5000));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(look(keys[i]), i == 2 ? HEALTH_GOOD : HEALTH_EJECTED);
}

static void test_times_too_far_away_say_nothing(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);
	struct health_slot *slot =
		&health.slots[(key & (HEALTH_SLOTS / HEALTH_WAYS - 1)) * HEALTH_WAYS];

	(void)state;
	health.busy_until_ms = UINT64_MAX;
	*slot = (struct health_slot){key, UINT64_MAX};
	assert_int_equal(look(key), HEALTH_GOOD);
	assert_false(claim(key));
	/* And the busy word has come back to where it runs out. */
	assert_int_equal(health.busy_until_ms, now_ms + HEALTH_LONGEST_MS + HEALTH_KEEP_MS);
	assert_true(failed(key, 0));
	assert_int_equal(look(key), HEALTH_EJECTED);
	assert_int_equal(wait_half_open(key), 5000);
}

#define THREADS 8

struct claimer {
	pthread_barrier_t *barrier;
	uint64_t key;
	unsigned rounds;
	unsigned won; /* claims of the current thread */
};

/* Each round: all claim, then all report a failure, which ejects once. */
static void *claim_rounds(void *argument)
{
	struct claimer *claimer = argument;
	uint64_t clock_ms = START_MS;

	for (unsigned i = 0; i < claimer->rounds; i++) {
		clock_ms += HEALTH_LONGEST_MS;
		pthread_barrier_wait(claimer->barrier);
		claimer->won += health_claim_probe(&health, &rules, claimer->key, clock_ms);
		pthread_barrier_wait(claimer->barrier);
		claimer->won += (unsigned)health_failure(&health, &rules, claimer->key, clock_ms, i)
				<< 16;
	}
	return NULL;
}

/* Of all threads exactly one gets the probe, and one of their failures counts. */
static void test_threads_share_one_probe(void **state)
{
	pthread_barrier_t barrier;
	pthread_t threads[THREADS];
	struct claimer claimers[THREADS];
	unsigned rounds = test_count(500, 5000);
	unsigned probes = 0;
	unsigned ejections = 0;

	(void)state;
	assert_true(failed(key_of("10.1.0.1", 80, 1), 0));
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		claimers[i] = (struct claimer){&barrier, key_of("10.1.0.1", 80, 1), rounds, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, claim_rounds, &claimers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		probes += claimers[i].won & 0xffff;
		ejections += claimers[i].won >> 16;
	}
	pthread_barrier_destroy(&barrier);
	assert_int_equal(probes, rounds);
	assert_int_equal(ejections, rounds);
}

static void expect_told(uint64_t key, enum health_told_state state, unsigned in_a_row)
{
	struct health before = health;
	struct health_told told = health_tell(&health, key, now_ms);

	assert_int_equal(told.state, state);
	assert_int_equal(told.in_a_row, in_a_row);
	/* A mapping to read is enough. */
	assert_memory_equal(&health, &before, sizeof(health));
}

static void test_what_is_told(void **state)
{
	uint64_t key = key_of("10.1.0.1", 80, 1);
	uint64_t slow = key_of("10.1.0.2", 80, 1);
	uint64_t began_ms = now_ms;
	uint64_t told_until_ms;

	(void)state;
	expect_told(key, HEALTH_TOLD_GOOD, 0);
	assert_int_equal(health_tell(&health, key, now_ms).since_ms, 0);
	assert_true(failed(key, 0));
	expect_told(key, HEALTH_TOLD_AVOIDED, 1);
	told_until_ms = health_tell(&health, key, now_ms).until_ms;
	wait_half_open(key);
	assert_int_equal(told_until_ms, now_ms);
	expect_told(key, HEALTH_TOLD_TO_PROBE, 1);
	assert_true(claim(key));
	expect_told(key, HEALTH_TOLD_PROBED, 1);
	assert_true(failed(key, 0));
	expect_told(key, HEALTH_TOLD_AVOIDED, 2);
	/* The first of the row. */
	assert_int_equal(health_tell(&health, key, now_ms).since_ms, began_ms);
	health_success(&health, key);
	expect_told(key, HEALTH_TOLD_GOOD, 0);
	assert_int_equal(health_tell(&health, key, now_ms).since_ms, 0);
	health_suspect(&health, &rules, slow, now_ms, 0);
	expect_told(slow, HEALTH_TOLD_SUSPECTED, 1);
	assert_int_equal(health_tell(&health, slow, now_ms).since_ms, now_ms);
	/* Garbage, which anybody may write there. */
	memset(health.since_ms, 0xff, sizeof(health.since_ms));
	assert_int_equal(health_tell(&health, slow, now_ms).since_ms, 0);
	assert_string_equal(health_word(HEALTH_TOLD_SUSPECTED), "suspected");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing_is_recorded_at_first, setup),
		cmocka_unit_test_setup(test_one_failure_ejects, setup),
		cmocka_unit_test_setup(test_ejections_grow_with_jitter, setup),
		cmocka_unit_test_setup(test_jitter_is_even, setup),
		cmocka_unit_test_setup(test_late_failures_do_not_lengthen, setup),
		cmocka_unit_test_setup(test_a_suspect_is_avoided_for_a_second, setup),
		cmocka_unit_test_setup(test_a_suspect_is_probed_at_once, setup),
		cmocka_unit_test_setup(test_a_suspect_is_probed_afterwards, setup),
		cmocka_unit_test_setup(test_only_what_is_wanted_is_to_be_probed, setup),
		cmocka_unit_test_setup(test_a_suspect_that_answers_is_good, setup),
		cmocka_unit_test_setup(test_a_threshold_counts_failures_in_a_row, setup),
		cmocka_unit_test_setup(test_one_caller_probes, setup),
		cmocka_unit_test_setup(test_a_good_probe_clears, setup),
		cmocka_unit_test_setup(test_an_abandoned_probe_expires, setup),
		cmocka_unit_test_setup(test_probes_that_tell_nothing_end, setup),
		cmocka_unit_test_setup(test_any_success_clears, setup),
		cmocka_unit_test_setup(test_endpoints_are_told_apart, setup),
		cmocka_unit_test_setup(test_records_end, setup),
		cmocka_unit_test_setup(test_a_full_set_forgets_the_first_to_end, setup),
		cmocka_unit_test_setup(test_times_too_far_away_say_nothing, setup),
		cmocka_unit_test_setup(test_threads_share_one_probe, setup),
		cmocka_unit_test_setup(test_what_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
