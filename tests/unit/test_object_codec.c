/* object_codec: what was encoded comes back, and other bytes give a legal object or none. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/json.h"
#include "support/object_walk.h"
#include "support/objects.h"
#include "sync/object_codec.h"

static const char full_slice[] =
	"{\"metadata\":{\"name\":\"web.x-1\",\"namespace\":\"demo\",\"resourceVersion\":\"77\","
	"\"labels\":{\"kubernetes.io/service-name\":\"web\",\"service.kubernetes.io/headless\":"
	"\"\"}},\"addressType\":\"IPv6\",\"ports\":[{\"name\":\"http\",\"port\":8080},{\"name\":"
	"\"\",\"protocol\":\"UDP\"}],\"endpoints\":[{\"addresses\":[\"fd00::1\"],\"hostname\":"
	"\"web-0\",\"nodeName\":\"n1\",\"zone\":\"z1\",\"conditions\":{\"ready\":false,"
	"\"serving\":true,\"terminating\":true},\"targetRef\":{\"kind\":\"Pod\",\"namespace\":"
	"\"demo\",\"name\":\"web-0\",\"uid\":\"u-1\"},\"hints\":{\"forZones\":[{\"name\":\"z1\"},"
	"{\"name\":\"\"}],\"forNodes\":[{\"name\":\"n1\"}]}},{\"addresses\":[\"fd00::2\"]}]}";

static const char full_service[] =
	"{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\",\"resourceVersion\":\"5\","
	"\"labels\""
	":{\"service.kubernetes.io/service-proxy-name\":\"x\"}},\"spec\":{\"type\":\"ClusterIP\","
	"\"clusterIP\":\"10.96.0.1\",\"clusterIPs\":[\"10.96.0.1\",\"fd00::99\"],\"ipFamilies\":["
	"\"IPv4\",\"IPv6\"],\"sessionAffinity\":\"ClientIP\",\"internalTrafficPolicy\":\"Local\","
	"\"ports\":[{\"name\":\"http\",\"port\":80},{\"name\":\"s\",\"port\":5,\"protocol\":"
	"\"SCTP\"}]}}";

static const char full_endpoints[] =
	"{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\",\"resourceVersion\":\"9\","
	"\"annotations\":{\"endpoints.kubernetes.io/over-capacity\":\"truncated\"}},\"subsets\":["
	"{\"addresses\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::1\"}],\"notReadyAddresses\":[{"
	"\"ip\":\"10.0.0.2\",\"nodeName\":\"n2\"}],\"ports\":[{\"port\":80}]}]}";

static const struct {
	enum object_kind kind;
	const char *json;
} samples[] = {
	{OBJECT_ENDPOINT_SLICE, full_slice},
	{OBJECT_SERVICE, full_service},
	{OBJECT_ENDPOINTS, full_endpoints},
	{OBJECT_ENDPOINT_SLICE,
	 "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"addressType\":\"FQDN\"}"},
	{OBJECT_SERVICE, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"spec\":{"
			 "\"type\":\"ExternalName\"}}"},
	{OBJECT_SERVICE, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"spec\":{"
			 "\"clusterIP\":\"None\"}}"},
	{OBJECT_ENDPOINTS,
	 "{\"metadata\":{\"name\":\"a.b\",\"namespace\":\"c\"},\"subsets\":null}"},
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void make(size_t index, struct object *object, struct buffer *bytes)
{
	char error[200];

	if (json_decode_object(samples[index].kind, samples[index].json,
			       strlen(samples[index].json), object, NULL, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	assert_int_equal(object_encode(object, bytes), 0);
}

/* In memory of exactly this size, so that a read beyond it is seen. */
static int decode(enum object_kind kind, const char *data, size_t size, struct object *object)
{
	char *exact = malloc(size ? size : 1);
	struct bytes bytes = bytes_of(exact, size);
	int rc;

	assert_non_null(exact);
	memcpy(exact, data, size);
	rc = object_decode(kind, &bytes, object);
	if (rc == 0 && !bytes_done(&bytes)) {
		object_clear(object);
		rc = -EBADMSG;
	}
	free(exact);
	return rc;
}

static void test_what_was_encoded_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		static char wanted[8192], got[8192];
		struct buffer bytes = {0};
		struct object object, back;

		make(i, &object, &bytes);
		assert_int_equal(decode(samples[i].kind, bytes.data, bytes.length, &back), 0);
		object_describe(&object, wanted, sizeof(wanted));
		object_describe(&back, got, sizeof(got));
		assert_string_equal(got, wanted);
		object_clear(&object);
		object_clear(&back);
		buffer_free(&bytes);
	}
}

static void test_a_cut_object_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		struct buffer bytes = {0};
		struct object object, back;

		make(i, &object, &bytes);
		for (size_t size = 0; size < bytes.length; size++)
			assert_int_equal(decode(samples[i].kind, bytes.data, size, &back),
					 -EBADMSG);
		object_clear(&object);
		buffer_free(&bytes);
	}
}

/* Each byte takes each value; what is decoded all the same must be as legal as any other. */
static void test_a_changed_byte_gives_a_legal_object_or_none(void **state)
{
	unsigned legal = 0;

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		struct buffer bytes = {0};
		struct object object, back;

		make(i, &object, &bytes);
		for (size_t at = 0; at < bytes.length; at++) {
			char saved = bytes.data[at];

			for (unsigned value = 0; value < 256; value++) {
				bytes.data[at] = (char)value;
				if (decode(samples[i].kind, bytes.data, bytes.length, &back) < 0)
					continue;
				object_walk(&back);
				object_clear(&back);
				legal++;
			}
			bytes.data[at] = saved;
		}
		object_clear(&object);
		buffer_free(&bytes);
	}
	assert_true(legal > 0);
}

/* A count of things that cannot follow asks for no memory. */
static void test_a_huge_count_is_refused(void **state)
{
	static const char huge[] = "\x01"
				   "a\x01"
				   "b\x01"
				   "1\x00\xff\xff\xff\xff\x0f";
	struct object object;

	(void)state;
	assert_int_equal(decode(OBJECT_ENDPOINTS, huge, sizeof(huge) - 1, &object), -EBADMSG);
}

/* The length passes for a count of what is left with its own byte, but not without it. */
static void test_a_text_that_goes_beyond_the_end_is_refused(void **state)
{
	static const char cut[] = "\x02"
				  "ab";
	struct bytes bytes = bytes_of(cut, 2);
	size_t length;

	(void)state;
	assert_null(bytes_read_text(&bytes, &length));
	assert_int_equal(length, 0);
	assert_true(bytes.bad);
}

/* IPv4 in its mapped form would be an IPv4 address that says to be IPv6. */
static void test_a_mapped_address_is_no_ipv6_address(void **state)
{
	static const char mapped[] = "\x01"
				     "b\x01"
				     "a\x01"
				     "1\0\x01\x06\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01\0\0\0";
	char bytes[sizeof(mapped) - 1];
	struct object object;

	(void)state;
	memcpy(bytes, mapped, sizeof(bytes));
	assert_int_equal(decode(OBJECT_SERVICE, bytes, sizeof(bytes), &object), -EBADMSG);
	bytes[9] = '\xfd';
	assert_int_equal(decode(OBJECT_SERVICE, bytes, sizeof(bytes), &object), 0);
	assert_int_equal(object.service->cluster_ip_count, 1);
	object_clear(&object);
}

static void test_numbers_of_any_size_come_back(void **state)
{
	static const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct buffer buffer = {0};
		struct bytes bytes;

		assert_int_equal(bytes_append_number(&buffer, numbers[i]), 0);
		bytes = bytes_of(buffer.data, buffer.length);
		assert_true(bytes_read_number(&bytes, UINT64_MAX) == numbers[i]);
		assert_true(bytes_done(&bytes));
		bytes = bytes_of(buffer.data, buffer.length);
		if (numbers[i] > 0) {
			assert_true(bytes_read_number(&bytes, numbers[i] - 1) == 0);
			assert_true(bytes.bad);
		}
		buffer_free(&buffer);
	}
}

static void test_a_number_beyond_64_bits_is_refused(void **state)
{
	static const char large[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
	static const char endless[] = "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01";
	struct bytes bytes = bytes_of(large, sizeof(large) - 1);

	(void)state;
	assert_true(bytes_read_number(&bytes, UINT64_MAX) == 0);
	assert_true(bytes.bad);
	bytes = bytes_of(endless, sizeof(endless) - 1);
	assert_true(bytes_read_number(&bytes, UINT64_MAX) == 0);
	assert_true(bytes.bad);
	assert_int_equal(bytes_left(&bytes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_encoded_comes_back),
		cmocka_unit_test(test_a_cut_object_is_refused),
		cmocka_unit_test(test_a_changed_byte_gives_a_legal_object_or_none),
		cmocka_unit_test(test_a_huge_count_is_refused),
		cmocka_unit_test(test_a_text_that_goes_beyond_the_end_is_refused),
		cmocka_unit_test(test_a_mapped_address_is_no_ipv6_address),
		cmocka_unit_test(test_numbers_of_any_size_come_back),
		cmocka_unit_test(test_a_number_beyond_64_bits_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
