/* json_stream: objects come out whole however the bytes are cut, and nothing else comes out. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "kube/json_stream.h"

struct sink {
	char text[512]; /* all objects, each followed by '|' */
	int result;	/* what on_object returns */
};

struct outcome {
	int rc;
	uint64_t objects;
	char objects_text[512];
	char envelope[512];
	char error[256];
};

static int collect(void *ctx, const char *text, size_t size)
{
	struct sink *sink = ctx;
	size_t length = strlen(sink->text);

	assert_int_equal(strlen(text), size);
	snprintf(sink->text + length, sizeof(sink->text) - length, "%s|", text);
	return sink->result;
}

/* Feeds @size bytes in pieces of @step, each in memory of its exact size. */
static struct outcome run(enum json_stream_form form, const char *text, size_t size, size_t step)
{
	struct outcome outcome = {0};
	struct sink sink = {0};
	struct json_stream stream;
	const char *envelope = "";
	size_t envelope_size = 0;

	json_stream_init(&stream, form, collect, &sink);
	for (size_t at = 0; at < size && outcome.rc == 0; at += step) {
		size_t piece = size - at < step ? size - at : step;
		char *copy = malloc(piece);

		assert_non_null(copy);
		memcpy(copy, text + at, piece);
		outcome.rc = json_stream_feed(&stream, copy, piece, outcome.error,
					      sizeof(outcome.error));
		free(copy);
	}
	if (outcome.rc == 0)
		outcome.rc = json_stream_finish(&stream, &envelope, &envelope_size, outcome.error,
						sizeof(outcome.error));
	outcome.objects = stream.objects;
	memcpy(outcome.objects_text, sink.text, sizeof(sink.text));
	snprintf(outcome.envelope, sizeof(outcome.envelope), "%s", envelope);
	json_stream_free(&stream);
	return outcome;
}

static struct outcome run_text(enum json_stream_form form, const char *text)
{
	struct outcome whole = run(form, text, strlen(text), strlen(text) + 1);

	for (size_t step = 1; step < 8; step++) {
		struct outcome cut = run(form, text, strlen(text), step);

		assert_int_equal(cut.rc, whole.rc);
		assert_string_equal(cut.objects_text, whole.objects_text);
		assert_string_equal(cut.envelope, whole.envelope);
	}
	return whole;
}

static void refuses(enum json_stream_form form, const char *text)
{
	struct outcome outcome = run_text(form, text);

	assert_int_equal(outcome.rc, -EBADMSG);
	assert_true(outcome.error[0]);
}

static void test_a_list_is_cut_into_items_and_envelope(void **state)
{
	struct outcome o =
		run_text(JSON_STREAM_LIST, "{\"kind\":\"L\",\"items\":[{\"a\":1}, {\"b\":[{}]}\n],"
					   "\"metadata\":{\"resourceVersion\":\"7\"}}\n");

	(void)state;
	assert_int_equal(o.rc, 0);
	assert_string_equal(o.objects_text, "{\"a\":1}|{\"b\":[{}]}|");
	assert_string_equal(o.envelope, "{\"kind\":\"L\",\"items\":[],"
					"\"metadata\":{\"resourceVersion\":\"7\"}}");
}

static void test_items_null_is_an_empty_list(void **state)
{
	struct outcome o = run_text(JSON_STREAM_LIST, "{ \"items\" : null , \"a\":1}");

	(void)state;
	assert_int_equal(o.rc, 0);
	assert_int_equal(o.objects, 0);
	assert_string_equal(o.envelope, "{ \"items\":[] , \"a\":1}");
}

static void test_items_elsewhere_are_not_the_items(void **state)
{
	struct outcome o =
		run_text(JSON_STREAM_LIST, "{\"x\":\"items\",\"m\":{\"items\":[{\"n\":1}]},"
					   "\"items\":[{\"a\":{\"items\":[]}}]}");

	(void)state;
	assert_int_equal(o.rc, 0);
	assert_string_equal(o.objects_text, "{\"a\":{\"items\":[]}}|");
}

static void test_brackets_and_quotes_in_strings_are_text(void **state)
{
	struct outcome o = run_text(
		JSON_STREAM_LIST, "{\"items\":[{\"a\":\"}]\\\"{[\\\\\"},{\"\\u00e9\\\\\\\"\":2}]}");

	(void)state;
	assert_int_equal(o.rc, 0);
	assert_int_equal(o.objects, 2);
}

static void test_events_come_with_any_space_between(void **state)
{
	struct outcome o = run_text(JSON_STREAM_EVENTS, "\n{\"a\":1}\n{\"b\":2}{\"c\":3}\r\n\t ");

	(void)state;
	assert_int_equal(o.rc, 0);
	assert_string_equal(o.objects_text, "{\"a\":1}|{\"b\":2}|{\"c\":3}|");
}

static void test_a_started_event_is_dropped_at_the_end(void **state)
{
	struct outcome o = run_text(JSON_STREAM_EVENTS, "{\"a\":1}\n{\"b\":");

	(void)state;
	assert_int_equal(o.rc, 0);
	assert_int_equal(o.objects, 1);
}

static void test_a_cut_event_does_not_swallow_the_next_one(void **state)
{
	(void)state;
	refuses(JSON_STREAM_EVENTS, "{\"a\":1}\n{\"b\":\n{\"c\":2}\n");
	refuses(JSON_STREAM_EVENTS, "{\"a\":1}\n{\"b\n{\"c\":2}\n");
	assert_int_equal(run_text(JSON_STREAM_OBJECT, "{\"a\":\n1}\n").rc, 0);
}

static void test_one_object_and_only_one_is_an_object(void **state)
{
	(void)state;
	assert_int_equal(run_text(JSON_STREAM_OBJECT, " {\"a\":1}\n").rc, 0);
	refuses(JSON_STREAM_OBJECT, "");
	refuses(JSON_STREAM_OBJECT, "{\"a\":1");
	refuses(JSON_STREAM_OBJECT, "{}{}");
	refuses(JSON_STREAM_OBJECT, "[]");
}

static void test_a_list_cut_at_any_byte_is_refused(void **state)
{
	static const char text[] = "{\"items\":[{\"a\":\"\\\"x\"},{}],\"m\":{\"v\":[\"1\"]}}";

	(void)state;
	for (size_t size = 0; size < sizeof(text) - 1; size++)
		assert_int_equal(run(JSON_STREAM_LIST, text, size, 3).rc, -EBADMSG);
}

static void test_what_is_no_list_is_refused(void **state)
{
	static const char *const texts[] = {
		"<html>",
		"null",
		"[]",
		"\"items\"",
		"\xef\xbb\xbf{\"items\":[]}",
		"{}",
		"{\"kind\":\"Status\"}",
		"{\"items\":[]}x",
		"{\"items\":[]}{}",
		"{\"items\":5}",
		"{\"items\":{}}",
		"{\"items\":nul}",
		"{\"items\":n ull}",
		"{\"items\"[]}",
		"{\"items\":[1]}",
		"{\"items\":[{},]}",
		"{\"items\":[,{}]}",
		"{\"items\":[{}{}]}",
		"{\"items\":[{}}",
		"{\"items\":[{]]}",
		"{\"m\":{],\"items\":[]}",
		"{\"items\":[],\"items\":[]}",
		"{\"items\":null,\"items\":[{}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refuses(JSON_STREAM_LIST, texts[i]);
}

static void test_control_characters_are_refused_in_and_out_of_strings(void **state)
{
	static const char outside[] = "{\"a\":\0 1}";
	static const char inside[] = "{\"a\":\"x\0y\"}";
	static const char escaped[] = "{\"a\":\"x\\\0\"}";
	static const char between[] = "{}\0{}";

	(void)state;
	for (size_t step = 1; step < 12; step++) {
		assert_int_equal(run(JSON_STREAM_EVENTS, outside, sizeof(outside) - 1, step).rc,
				 -EBADMSG);
		assert_int_equal(run(JSON_STREAM_EVENTS, inside, sizeof(inside) - 1, step).rc,
				 -EBADMSG);
		assert_int_equal(run(JSON_STREAM_EVENTS, escaped, sizeof(escaped) - 1, step).rc,
				 -EBADMSG);
		assert_int_equal(run(JSON_STREAM_EVENTS, between, sizeof(between) - 1, step).rc,
				 -EBADMSG);
	}
	refuses(JSON_STREAM_EVENTS, "{\"a\":\"line\nbreak\"}");
}

static void test_the_error_quotes_what_came_made_printable(void **state)
{
	struct outcome o = run(JSON_STREAM_LIST, "\x1f\x8b<p>", 5, 99);

	(void)state;
	assert_non_null(strstr(o.error, "\"?"
					"?<p>\""));
}

static void test_what_on_object_returns_ends_the_feeding(void **state)
{
	struct sink sink = {.result = -ENOENT};
	struct json_stream stream;
	char error[64] = "";

	(void)state;
	json_stream_init(&stream, JSON_STREAM_EVENTS, collect, &sink);
	assert_int_equal(json_stream_feed(&stream, "{}{}", 4, error, sizeof(error)), -ENOENT);
	assert_string_equal(sink.text, "{}|");
	json_stream_free(&stream);
}

/* @prefix, @count times @filler, nothing more. */
static int run_long(enum json_stream_form form, const char *prefix, const char *filler,
		    size_t count)
{
	struct json_stream stream;
	struct sink sink = {0};
	char error[128];
	int rc;

	json_stream_init(&stream, form, collect, &sink);
	rc = json_stream_feed(&stream, prefix, strlen(prefix), error, sizeof(error));
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = json_stream_feed(&stream, filler, strlen(filler), error, sizeof(error));
	json_stream_free(&stream);
	return rc;
}

static void test_nesting_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(run_long(JSON_STREAM_OBJECT, "", "{\"a\":", JSON_DEPTH_LIMIT), 0);
	assert_int_equal(run_long(JSON_STREAM_OBJECT, "", "{\"a\":", JSON_DEPTH_LIMIT + 1), -E2BIG);
	assert_int_equal(run_long(JSON_STREAM_LIST, "{\"m\":", "[", JSON_DEPTH_LIMIT), -E2BIG);
	assert_int_equal(run_long(JSON_STREAM_LIST, "{\"items\":[{\"a\":", "[", JSON_DEPTH_LIMIT),
			 -E2BIG);
}

static void test_sizes_are_bounded(void **state)
{
	static const char kibibyte[1025] = {[0 ... 1023] = 'x'};

	(void)state;
	assert_int_equal(run_long(JSON_STREAM_OBJECT, "{\"a\":\"", kibibyte,
				  LIMIT_OBJECT_BYTES / 1024 - 1),
			 0);
	assert_int_equal(run_long(JSON_STREAM_OBJECT, "{\"a\":\"", kibibyte,
				  LIMIT_OBJECT_BYTES / 1024),
			 -E2BIG);
	assert_int_equal(run_long(JSON_STREAM_LIST, "{\"a\":\"", kibibyte,
				  JSON_ENVELOPE_LIMIT / 1024),
			 -E2BIG);
}

static void test_white_space_costs_no_memory(void **state)
{
	static const char spaces[1025] = {[0 ... 1023] = ' '};

	(void)state;
	assert_int_equal(run_long(JSON_STREAM_EVENTS, "{}", spaces, 8192), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list_is_cut_into_items_and_envelope),
		cmocka_unit_test(test_items_null_is_an_empty_list),
		cmocka_unit_test(test_items_elsewhere_are_not_the_items),
		cmocka_unit_test(test_brackets_and_quotes_in_strings_are_text),
		cmocka_unit_test(test_events_come_with_any_space_between),
		cmocka_unit_test(test_a_started_event_is_dropped_at_the_end),
		cmocka_unit_test(test_a_cut_event_does_not_swallow_the_next_one),
		cmocka_unit_test(test_one_object_and_only_one_is_an_object),
		cmocka_unit_test(test_a_list_cut_at_any_byte_is_refused),
		cmocka_unit_test(test_what_is_no_list_is_refused),
		cmocka_unit_test(test_control_characters_are_refused_in_and_out_of_strings),
		cmocka_unit_test(test_the_error_quotes_what_came_made_printable),
		cmocka_unit_test(test_what_on_object_returns_ends_the_feeding),
		cmocka_unit_test(test_nesting_is_bounded),
		cmocka_unit_test(test_sizes_are_bounded),
		cmocka_unit_test(test_white_space_costs_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
