/* buffer: what is appended, what a limit keeps out, and that a failure changes nothing. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"

/* Pieces of any size stand one behind the other, with a NUL behind the last. */
static void test_appends_grow(void **state)
{
	struct buffer buffer = {0};

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(buffer_append(&buffer, "0123456789", i % 11), 0);
	assert_int_equal(buffer.length, 90 * 55 + 45);
	assert_int_equal(strlen(buffer.data), buffer.length);
	assert_memory_equal(buffer.data, "0010120123", 10);
	buffer_free(&buffer);
}

/* Appending nothing to nothing makes an empty text. */
static void test_an_empty_append_gives_text(void **state)
{
	struct buffer buffer = {0};

	(void)state;
	assert_int_equal(buffer_append_text(&buffer, ""), 0);
	assert_string_equal(buffer.data, "");
	assert_int_equal(buffer.length, 0);
	buffer_free(&buffer);
}

/* The limit counts bytes without the NUL: up to it fits, one more does not, and nothing changed. */
static void test_a_limit_is_exact(void **state)
{
	struct buffer buffer = {.limit = 5};

	(void)state;
	assert_int_equal(buffer_append_text(&buffer, "abc"), 0);
	assert_int_equal(buffer_append_text(&buffer, "def"), -E2BIG);
	assert_string_equal(buffer.data, "abc");
	assert_int_equal(buffer_append_text(&buffer, "de"), 0);
	assert_int_equal(buffer_append_text(&buffer, "f"), -E2BIG);
	assert_string_equal(buffer.data, "abcde");
	assert_int_equal(buffer.length, 5);
	buffer_free(&buffer);
}

/* A size whose sum would wrap around is too big, with and without a limit. */
static void test_a_size_that_wraps_is_too_big(void **state)
{
	struct buffer buffer = {0};

	(void)state;
	assert_int_equal(buffer_append_text(&buffer, "abc"), 0);
	assert_int_equal(buffer_append(&buffer, "x", SIZE_MAX), -E2BIG);
	assert_int_equal(buffer_append(&buffer, "x", SIZE_MAX - 3), -E2BIG);
	assert_string_equal(buffer.data, "abc");
	buffer_free(&buffer);
}

/* Formatted text is appended; a line that is too long for its own buffer is refused whole. */
static void test_printf_appends_or_refuses(void **state)
{
	struct buffer buffer = {0};
	char *longest = malloc(2000);

	(void)state;
	assert_non_null(longest);
	memset(longest, 'x', 1999);
	longest[1999] = '\0';
	assert_int_equal(buffer_printf(&buffer, "%s/%d", "a", 7), 0);
	assert_int_equal(buffer_printf(&buffer, "%s", longest), -E2BIG);
	assert_string_equal(buffer.data, "a/7");
	free(longest);
	buffer_free(&buffer);
}

/* Everything but the unreserved characters of RFC 3986 is percent-encoded. */
static void test_url_encoding(void **state)
{
	struct buffer buffer = {0};

	(void)state;
	assert_int_equal(buffer_append_url_encoded(&buffer, "aZ09-._~"), 0);
	assert_string_equal(buffer.data, "aZ09-._~");
	buffer_clear(&buffer);
	assert_int_equal(buffer_append_url_encoded(&buffer, "k8s.io/name in (a,b)&=%\xc3\xa9"), 0);
	assert_string_equal(buffer.data, "k8s.io%2Fname%20in%20%28a%2Cb%29%26%3D%25%C3%A9");
	buffer_free(&buffer);
}

/* An encoding that hits the limit half-way takes back what it had written, the NUL included. */
static void test_url_encoding_beyond_the_limit_changes_nothing(void **state)
{
	struct buffer buffer = {.limit = 5};

	(void)state;
	assert_int_equal(buffer_append_text(&buffer, "abc"), 0);
	assert_int_equal(buffer_append_url_encoded(&buffer, "x/"), -E2BIG);
	assert_int_equal(buffer.length, 3);
	assert_string_equal(buffer.data, "abc");
	buffer_free(&buffer);
}

/* Clearing keeps the memory, freeing keeps the limit. */
static void test_clear_and_free(void **state)
{
	struct buffer buffer = {.limit = 10};
	const char *memory;

	(void)state;
	buffer_clear(&buffer);
	assert_int_equal(buffer_append_text(&buffer, "abc"), 0);
	memory = buffer.data;
	buffer_clear(&buffer);
	assert_string_equal(buffer.data, "");
	assert_int_equal(buffer_append_text(&buffer, "de"), 0);
	assert_ptr_equal(buffer.data, memory);
	buffer_free(&buffer);
	assert_null(buffer.data);
	assert_int_equal(buffer.limit, 10);
	buffer_free(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends_grow),
		cmocka_unit_test(test_an_empty_append_gives_text),
		cmocka_unit_test(test_a_limit_is_exact),
		cmocka_unit_test(test_a_size_that_wraps_is_too_big),
		cmocka_unit_test(test_printf_appends_or_refuses),
		cmocka_unit_test(test_url_encoding),
		cmocka_unit_test(test_url_encoding_beyond_the_limit_changes_nothing),
		cmocka_unit_test(test_clear_and_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
