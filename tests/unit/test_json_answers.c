/* json: what a list and a watch say around their objects, and Status. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/assert_op.h"
#include "support/json_texts.h"

static int decode_event(const char *text, struct watch_event *event)
{
	memset(event, 0, sizeof(*event));
	error[0] = '\0';
	return json_decode_watch_event(OBJECT_SERVICE, text, strlen(text), event, NULL, error,
				       sizeof(error));
}

static void test_events_carry_the_object(void **state)
{
	static const char *const types[] = {"ADDED", "MODIFIED", "DELETED"};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct watch_event event;
		char text[256];

		snprintf(text, sizeof(text), "{\"type\":\"%s\",\"object\":%s}", types[i],
			 SERVICE("\"clusterIP\":\"10.0.0.1\""));
		assert_int_equal(decode_event(text, &event), 0);
		assert_int_equal(event.type, i);
		assert_string_equal(event.object.name, "web");
		object_clear(&event.object);
		free(event.resource_version);
	}
}

/* It is opaque (API conventions, "Concurrency Control and Consistency"). */
static void test_a_resource_version_has_any_length(void **state)
{
	static char version[20001], text[20200];
	struct list_envelope envelope;
	struct watch_event event;

	(void)state;
	memset(version, 'v', sizeof(version) - 1);
	snprintf(text, sizeof(text),
		 "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"demo\",\"name\":"
		 "\"a\","
		 "\"resourceVersion\":\"%s\"},\"spec\":{}}}",
		 version);
	assert_int_equal(decode_event(text, &event), 0);
	assert_string_equal(event.resource_version, version);
	object_clear(&event.object);
	free(event.resource_version);
	snprintf(text, sizeof(text), "{\"metadata\":{\"resourceVersion\":\"%s\"},\"items\":[]}",
		 version);
	assert_int_equal(json_decode_list_envelope(OBJECT_SERVICE, text, strlen(text), &envelope,
						   error, sizeof(error)),
			 0);
	assert_string_equal(envelope.resource_version, version);
	list_envelope_free(&envelope);
}

static void test_a_bookmark_carries_only_the_version(void **state)
{
	struct watch_event event;

	(void)state;
	assert_int_equal(decode_event("{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\","
				      "\"metadata\":{\"resourceVersion\":\"9\"},\"spec\":{}}}",
				      &event),
			 0);
	assert_int_equal(event.type, WATCH_BOOKMARK);
	assert_int_equal(event.object.kind, OBJECT_SERVICE);
	assert_string_equal(event.resource_version, "9");
	assert_null(event.object.service);
	free(event.resource_version);
}

static void test_an_error_event_carries_the_status(void **state)
{
	struct watch_event event;

	(void)state;
	assert_int_equal(
		decode_event("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\","
			     "\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}}",
			     &event),
		0);
	assert_int_equal(event.type, WATCH_ERROR);
	assert_int_equal(event.status.code, 410);
	assert_string_equal(event.status.reason, "Expired");
	assert_int_equal(event.status.retry_after_s, -1);
}

static void test_an_unknown_event_type_is_no_error(void **state)
{
	struct watch_event event;

	(void)state;
	assert_int_equal(decode_event("{\"type\":\"FUTURE\",\"object\":7}", &event), 0);
	assert_int_equal(event.type, WATCH_UNKNOWN);
}

static void test_broken_events_are_refused(void **state)
{
	static const char *const texts[] = {"{}",
					    "{\"type\":5}",
					    "{\"type\":\"ADDED\"}",
					    "{\"type\":\"ADDED\",\"object\":[]}",
					    "{\"type\":\"ERROR\",\"object\":{}}",
					    "{\"type\":\"BOOKMARK\",\"object\":{}}",
					    "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct watch_event event;

		assert_int_equal(decode_event(texts[i], &event), -EBADMSG);
		assert_true(error[0]);
	}
}

static void test_a_status_says_when_to_retry_and_why(void **state)
{
	static const char text[] =
		"{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"Too large\\n\xc3\xa9\","
		"\"reason\":\"Timeout\",\"details\":{\"retryAfterSeconds\":1,\"causes\":["
		"{\"reason\":\"ResourceVersionTooLarge\",\"message\":\"m\"}]},\"code\":504}";
	struct kube_status status;

	(void)state;
	assert_int_equal(json_decode_status(text, sizeof(text) - 1, &status, error, sizeof(error)),
			 0);
	assert_int_equal(status.code, 504);
	assert_string_equal(status.reason, "Timeout");
	assert_string_equal(status.message, "Too large???");
	assert_int_equal(status.retry_after_s, 1);
	assert_true(status.resource_version_too_large);
}

static void test_an_absurd_retry_time_counts_as_absent(void **state)
{
	static const char *const values[] = {"-1", "86401", "1e99", "0.5", "\"5\"", "null"};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct kube_status status;
		char text[128];

		snprintf(text, sizeof(text),
			 "{\"kind\":\"Status\",\"details\":{\"retryAfterSeconds\":%s}}", values[i]);
		assert_int_equal(
			json_decode_status(text, strlen(text), &status, error, sizeof(error)), 0);
		assert_int_equal(status.retry_after_s, -1);
	}
}

static void test_plain_text_is_no_status(void **state)
{
	static const char text[] = "Too many requests, please try again later.";
	struct kube_status status;

	(void)state;
	assert_int_equal(json_decode_status(text, sizeof(text) - 1, &status, error, sizeof(error)),
			 -EBADMSG);
	assert_int_equal(json_decode_status("{}", 2, &status, error, sizeof(error)), -EBADMSG);
}

static int decode_envelope(const char *text, struct list_envelope *envelope)
{
	return json_decode_list_envelope(OBJECT_SERVICE, text, strlen(text), envelope, error,
					 sizeof(error));
}

static void test_a_list_envelope_has_version_and_continue_token(void **state)
{
	struct list_envelope envelope = {.continue_token = NULL};

	(void)state;
	assert_int_equal(
		decode_envelope("{\"kind\":\"ServiceList\",\"metadata\":{"
				"\"resourceVersion\":\"9\",\"continue\":\"abc\"},\"items\":[]}",
				&envelope),
		0);
	assert_string_equal(envelope.resource_version, "9");
	assert_string_equal(envelope.continue_token, "abc");
	list_envelope_free(&envelope);
	assert_int_equal(
		decode_envelope("{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"\"}}",
				&envelope),
		0);
	assert_null(envelope.continue_token);
	list_envelope_free(&envelope);
}

static void test_an_envelope_of_another_kind_is_refused(void **state)
{
	struct list_envelope envelope;

	(void)state;
	assert_int_equal(
		decode_envelope("{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\"}}",
				&envelope),
		-EBADMSG);
	assert_int_equal(decode_envelope("{\"metadata\":{}}", &envelope), -EBADMSG);
	assert_int_equal(
		decode_envelope("{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":5}}",
				&envelope),
		-EBADMSG);
}

static int decode_item(const char *text, enum object_kind *kind)
{
	struct object object = {0};
	int rc = json_decode_item(text, strlen(text), kind, &object, NULL, error, sizeof(error));

	object_clear(&object);
	return rc;
}

static void test_an_item_is_of_the_kind_that_it_names(void **state)
{
	enum object_kind kind = OBJECT_SERVICE;

	(void)state;
	assert_int_equal(decode_item("{\"kind\":\"Endpoints\"," META("web") "}", &kind), 0);
	assert_int_equal(kind, OBJECT_ENDPOINTS);
	assert_int_equal(decode_item("{\"kind\":\"EndpointSlice\"}", &kind), -EBADMSG);
	assert_int_equal(kind, OBJECT_ENDPOINT_SLICE);
	assert_int_equal(decode_item("{\"kind\":\"Pod\"}", &kind), -ENOTSUP);
	assert_int_equal(decode_item("{}", &kind), -ENOTSUP);
	assert_int_equal(decode_item("{", &kind), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_carry_the_object),
		cmocka_unit_test(test_a_resource_version_has_any_length),
		cmocka_unit_test(test_a_bookmark_carries_only_the_version),
		cmocka_unit_test(test_an_error_event_carries_the_status),
		cmocka_unit_test(test_an_unknown_event_type_is_no_error),
		cmocka_unit_test(test_broken_events_are_refused),
		cmocka_unit_test(test_a_status_says_when_to_retry_and_why),
		cmocka_unit_test(test_an_absurd_retry_time_counts_as_absent),
		cmocka_unit_test(test_plain_text_is_no_status),
		cmocka_unit_test(test_a_list_envelope_has_version_and_continue_token),
		cmocka_unit_test(test_an_envelope_of_another_kind_is_refused),
		cmocka_unit_test(test_an_item_is_of_the_kind_that_it_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
