/* log, clock and hash: levels, one line a message, errno kept, time that goes forward. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "support/assert_op.h"

static char last[LOG_LINE_SIZE + 1];
static unsigned lines;

static void keep(void *ctx, enum log_level level, const char *line)
{
	(void)level;
	assert_ptr_equal(ctx, &lines);
	assert_in_range(strlen(line), 0, LOG_LINE_SIZE - 1);
	snprintf(last, sizeof(last), "%s", line);
	lines++;
	errno = ERANGE;
}

static struct logger logger_at(enum log_level level)
{
	lines = 0;
	return (struct logger){.level = level, .write = keep, .ctx = &lines};
}

/* A level lets itself and the graver ones through. */
static void test_levels(void **state)
{
	(void)state;
	for (enum log_level level = LOG_LEVEL_OFF; level <= LOG_LEVEL_DEBUG; level++) {
		struct logger logger = logger_at(level);

		log_error(&logger, "e");
		log_info(&logger, "i");
		log_debug(&logger, "d");
		assert_int_equal(lines, level);
	}
}

/* No function: no log. */
static void test_no_function_is_no_log(void **state)
{
	struct logger logger = {.level = LOG_LEVEL_DEBUG};

	(void)state;
	log_error(&logger, "%d", 1);
}

/* Text of a server may hold line breaks and escapes: none of them reaches the log. */
static void test_control_characters_are_replaced(void **state)
{
	struct logger logger = logger_at(LOG_LEVEL_ERROR);

	(void)state;
	log_error(&logger, "a%sb", "\n\r\t\x1b\x7f");
	assert_string_equal(last, "a?????b");
}

/* A message that is too long is cut. */
static void test_long_messages_are_cut(void **state)
{
	struct logger logger = logger_at(LOG_LEVEL_ERROR);
	char text[2 * LOG_LINE_SIZE];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error(&logger, "%s", text);
	assert_int_equal(strlen(last), LOG_LINE_SIZE - 1);
}

/* What was said is not said again, whatever was said meanwhile, until a hundred others were. */
static void test_a_line_is_told_once(void **state)
{
	struct logger logger = logger_at(LOG_LEVEL_ERROR);
	struct log_once once = {.next = 0};

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		log_once(&once, &logger, LOG_LEVEL_ERROR, "%u", i % 2);
	assert_int_equal(lines, 2);
	log_once(&once, &logger, LOG_LEVEL_DEBUG, "not wanted");
	assert_int_equal(lines, 2);
	for (unsigned i = 0; i < LOG_ONCE_LINES; i++)
		log_once(&once, &logger, LOG_LEVEL_ERROR, "other %u", i);
	assert_int_equal(lines, 2 + LOG_ONCE_LINES);
	log_once(&once, &logger, LOG_LEVEL_ERROR, "0");
	assert_int_equal(lines, 3 + LOG_ONCE_LINES);
}

/* errno of the caller survives whatever the function does. */
static void test_errno_is_kept(void **state)
{
	struct logger logger = logger_at(LOG_LEVEL_ERROR);

	(void)state;
	errno = EPIPE;
	log_error(&logger, "x");
	assert_int_equal(lines, 1);
	assert_int_equal(errno, EPIPE);
}

/* Each level has its word. */
static void test_level_names(void **state)
{
	(void)state;
	assert_string_equal(log_level_name(LOG_LEVEL_OFF), "off");
	assert_string_equal(log_level_name(LOG_LEVEL_ERROR), "error");
	assert_string_equal(log_level_name(LOG_LEVEL_INFO), "info");
	assert_string_equal(log_level_name(LOG_LEVEL_DEBUG), "debug");
}

/* The monotonic clock never goes back, random bits differ, and errno is kept by all of them. */
static void test_clock_and_chance(void **state)
{
	uint64_t before_ms = clock_monotonic_ms();
	uint64_t first = random_u64();

	(void)state;
	errno = EPIPE;
	assert_true(first != random_u64() || first != random_u64());
	assert_op(clock_monotonic_ms(), >=, before_ms);
	assert_op(clock_realtime_s(), >, 1577836800u); /* 2020 */
	assert_int_equal(errno, EPIPE);
}

/* The low bits of hashes of neighbours fill a table evenly enough to index it. */
static void test_hashes_spread(void **state)
{
	unsigned buckets[256] = {0};
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 25600; i++) {
		snprintf(name, sizeof(name), "service-%u", i);
		buckets[hash_text(0, name) & 255]++;
	}
	for (unsigned i = 0; i < 256; i++)
		assert_in_range(buckets[i], 50, 150);
	assert_op(hash_text(0, "a"), !=, hash_text(1, "a"));
	assert_op(hash_bytes(0, "ab", 1), !=, hash_bytes(0, "ab", 2));
	assert_op(hash_bytes(0, "\0", 1), !=, hash_bytes(0, "\0\0", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_no_function_is_no_log),
		cmocka_unit_test(test_control_characters_are_replaced),
		cmocka_unit_test(test_long_messages_are_cut),
		cmocka_unit_test(test_a_line_is_told_once),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_level_names),
		cmocka_unit_test(test_clock_and_chance),
		cmocka_unit_test(test_hashes_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
