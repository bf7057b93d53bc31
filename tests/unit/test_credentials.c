/* credentials: files are read again in time, and what was good once outlives a bad file. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "kube/credentials.h"

#define PEM "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

static char directory[] = "/tmp/k8slb-credentials-XXXXXX";
static char token_path[64];
static char ca_path[64];

static void write_bytes(const char *path, const char *text, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void write_text(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text));
}

static struct credentials *make(void)
{
	struct credentials_options options = {.token_file = token_path, .ca_file = ca_path};
	struct credentials *credentials;

	assert_int_equal(credentials_new(&options, &credentials), 0);
	return credentials;
}

static void test_a_token_is_trimmed(void **state)
{
	struct credentials *credentials = make();

	(void)state;
	write_text(token_path, "\n  abc.def-1 \r\n");
	assert_string_equal(credentials_token(credentials, 0), "abc.def-1");
	assert_string_equal(credentials_problem(credentials), "");
	credentials_free(credentials);
}

static void test_a_token_is_read_again_after_its_time(void **state)
{
	struct credentials *credentials = make();

	(void)state;
	write_text(token_path, "one");
	assert_string_equal(credentials_token(credentials, 1000), "one");
	write_text(token_path, "two");
	assert_string_equal(credentials_token(credentials, 1000 + CREDENTIALS_TOKEN_MAX_AGE_MS - 1),
			    "one");
	assert_string_equal(credentials_token(credentials, 1000 + CREDENTIALS_TOKEN_MAX_AGE_MS),
			    "two");
	credentials_free(credentials);
}

static void test_a_forgotten_token_is_read_again_at_once(void **state)
{
	struct credentials *credentials = make();

	(void)state;
	write_text(token_path, "one");
	credentials_token(credentials, 0);
	write_text(token_path, "two");
	credentials_forget_token(credentials);
	assert_string_equal(credentials_token(credentials, 1), "two");
	credentials_free(credentials);
}

static void test_the_old_token_serves_while_the_file_is_bad(void **state)
{
	struct credentials *credentials = make();

	(void)state;
	write_text(token_path, "one");
	credentials_token(credentials, 0);
	assert_int_equal(unlink(token_path), 0);
	credentials_forget_token(credentials);
	assert_string_equal(credentials_token(credentials, 1), "one");
	assert_non_null(strstr(credentials_problem(credentials), token_path));
	write_text(token_path, "");
	assert_string_equal(credentials_token(credentials, 2), "one");
	assert_non_null(strstr(credentials_problem(credentials), "expected"));
	write_text(token_path, "two");
	assert_string_equal(credentials_token(credentials, 3), "two");
	assert_string_equal(credentials_problem(credentials), "");
	credentials_free(credentials);
}

static void test_a_token_that_could_break_a_header_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t size;
	} cases[] = {{"a\r\nX: y", 7}, {"a b", 3},	{"a\0b", 3}, {"a\0", 2},
		     {"a\x7f", 2},     {"\xc3\xa9", 2}, {" \n", 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct credentials *credentials = make();

		write_bytes(token_path, cases[i].text, cases[i].size);
		assert_null(credentials_token(credentials, 0));
		assert_non_null(strstr(credentials_problem(credentials), "token file"));
		credentials_free(credentials);
	}
}

static void test_a_long_token_is_kept_whole(void **state)
{
	struct credentials *credentials = make();
	char text[20000];

	(void)state;
	memset(text, 'a', sizeof(text));
	write_bytes(token_path, text, sizeof(text));
	assert_int_equal(strlen(credentials_token(credentials, 0)), sizeof(text));
	credentials_free(credentials);
}

static void test_a_huge_file_a_directory_and_a_fifo_are_refused(void **state)
{
	struct credentials *credentials = make();
	char *text = calloc(1, CREDENTIALS_FILE_LIMIT + 1);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', CREDENTIALS_FILE_LIMIT + 1);
	write_bytes(token_path, text, CREDENTIALS_FILE_LIMIT + 1);
	assert_null(credentials_token(credentials, 0));
	free(text);
	unlink(token_path);
	assert_int_equal(mkdir(token_path, 0700), 0);
	assert_null(credentials_token(credentials, 0));
	rmdir(token_path);
	assert_int_equal(mkfifo(token_path, 0600), 0);
	assert_null(credentials_token(credentials, 0));
	unlink(token_path);
	credentials_free(credentials);
}

static void test_a_token_follows_the_symbolic_link(void **state)
{
	struct credentials *credentials = make();
	char first[80], second[80];

	(void)state;
	snprintf(first, sizeof(first), "%s/first", directory);
	snprintf(second, sizeof(second), "%s/second", directory);
	write_text(first, "one");
	write_text(second, "two");
	unlink(token_path);
	assert_int_equal(symlink(first, token_path), 0);
	assert_string_equal(credentials_token(credentials, 0), "one");
	assert_int_equal(unlink(token_path), 0);
	assert_int_equal(symlink(second, token_path), 0);
	assert_string_equal(credentials_token(credentials, CREDENTIALS_TOKEN_MAX_AGE_MS), "two");
	unlink(token_path);
	unlink(first);
	unlink(second);
	credentials_free(credentials);
}

static void test_a_ca_is_read_again_and_a_half_written_one_is_not_taken(void **state)
{
	struct credentials *credentials = make();
	size_t size = 0;

	(void)state;
	write_text(ca_path, PEM);
	assert_string_equal(credentials_ca(credentials, 0, &size), PEM);
	assert_int_equal(size, strlen(PEM));
	write_text(ca_path, "-----BEGIN CERTIFICATE-----\nMI");
	assert_string_equal(credentials_ca(credentials, CREDENTIALS_CA_MAX_AGE_MS, &size), PEM);
	assert_non_null(strstr(credentials_problem(credentials), "expected PEM"));
	write_text(ca_path, PEM PEM);
	assert_string_equal(credentials_ca(credentials, CREDENTIALS_CA_MAX_AGE_MS, &size), PEM PEM);
	credentials_free(credentials);
}

static void test_what_is_not_configured_is_null_and_no_problem(void **state)
{
	struct credentials_options options = {.ca_file = ""};
	struct credentials *credentials;
	size_t size = 7;

	(void)state;
	assert_int_equal(credentials_new(&options, &credentials), 0);
	assert_null(credentials_token(credentials, 0));
	assert_null(credentials_ca(credentials, 0, &size));
	assert_null(credentials_cert(credentials, 0, &size));
	assert_null(credentials_key(credentials, 0, &size));
	assert_string_equal(credentials_problem(credentials), "");
	credentials_free(credentials);
	credentials_free(NULL);
}

/* Whatever piece of the token a text has, in whatever form it was cut and split. */
static void test_pieces_of_the_token_are_concealed(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"", ""},
		{"no such thing", "no such thing"},
		{"Bearer abcdefghijklmnop!", "Bearer ****************!"},
		{"abcdefgh ijklmnop", "******** ********"},
		{"x abcdefg y", "x abcdefg y"},
		{"xbcdefghijx", "x*********x"},
		{"mnopabcdefghijk", "mnop***********"},
		{"abcdefghijklmnopabcdefghijklmnop", "********************************"},
		{"abcdefghabcdefgx", "********abcdefgx"},
		{"ijklmnop", "********"},
	};
	struct credentials *credentials = make();

	(void)state;
	write_text(token_path, "abcdefghijklmnop");
	assert_non_null(credentials_token(credentials, 0));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s", cases[i].text);
		credentials_conceal(credentials, text);
		assert_string_equal(text, cases[i].shown);
	}
	credentials_free(credentials);
}

/* A short one whole; the one before, with which a watch may still run; and with none nothing. */
static void test_short_and_former_tokens_are_concealed(void **state)
{
	struct credentials *credentials = make();
	char text[] = "a short: tok-1, the next: tok-2, tok-3";

	(void)state;
	credentials_conceal(credentials, text);
	assert_string_equal(text, "a short: tok-1, the next: tok-2, tok-3");
	for (unsigned i = 1; i <= 3; i++) {
		char token[] = "tok-0";

		token[4] = (char)('0' + i);
		write_text(token_path, token);
		credentials_forget_token(credentials);
		assert_string_equal(credentials_token(credentials, 0), token);
		credentials_forget_token(credentials);
		assert_string_equal(credentials_token(credentials, 0), token);
	}
	credentials_conceal(credentials, text);
	assert_string_equal(text, "a short: tok-1, the next: *****, *****");
	credentials_free(credentials);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(token_path, sizeof(token_path), "%s/token", directory);
	snprintf(ca_path, sizeof(ca_path), "%s/ca.crt", directory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(token_path);
	unlink(ca_path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_token_is_trimmed),
		cmocka_unit_test(test_a_token_is_read_again_after_its_time),
		cmocka_unit_test(test_a_forgotten_token_is_read_again_at_once),
		cmocka_unit_test(test_the_old_token_serves_while_the_file_is_bad),
		cmocka_unit_test(test_a_token_that_could_break_a_header_is_refused),
		cmocka_unit_test(test_a_long_token_is_kept_whole),
		cmocka_unit_test(test_a_huge_file_a_directory_and_a_fifo_are_refused),
		cmocka_unit_test(test_a_token_follows_the_symbolic_link),
		cmocka_unit_test(test_a_ca_is_read_again_and_a_half_written_one_is_not_taken),
		cmocka_unit_test(test_what_is_not_configured_is_null_and_no_problem),
		cmocka_unit_test(test_pieces_of_the_token_are_concealed),
		cmocka_unit_test(test_short_and_former_tokens_are_concealed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
