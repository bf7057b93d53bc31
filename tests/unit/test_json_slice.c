/* json: an EndpointSlice, each field and what it costs when it is wrong; and what holds for every
 * text. */
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

static const char full_slice[] =
	"{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\"," SLICE_META
	",\"addressType\":\"IPv4\",\"endpoints\":["
	"{\"addresses\":[\"10.1.2.3\",\"10.9.9.9\"],\"conditions\":{\"ready\":false,\"serving\":"
	"true,"
	"\"terminating\":true},\"hostname\":\"pod-1\",\"nodeName\":\"n1\",\"zone\":\"z1\","
	"\"targetRef\":{\"kind\":\"Pod\",\"namespace\":\"demo\",\"name\":\"web-0\",\"uid\":\"u\"},"
	"\"hints\":{\"forZones\":[{\"name\":\"z1\"},{\"name\":\"z2\"}],"
	"\"forNodes\":[{\"name\":\"n1\"}]}}],"
	"\"ports\":[{\"name\":\"http\",\"protocol\":\"UDP\",\"port\":8080,\"appProtocol\":\"http\"}"
	"]}";

static void test_every_field_of_a_slice_is_read(void **state)
{
	const struct slice_endpoint *endpoint;
	const struct endpoint_slice *slice;
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE, full_slice, &object);
	assert_string_equal(object.namespace, "demo");
	assert_string_equal(object.name, "web-abc");
	assert_int_equal(object.slice_count, 1);
	slice = object.slices;
	assert_string_equal(slice->service_name, "web");
	assert_int_equal(slice->family, IP_FAMILY_4);
	assert_false(slice->headless || slice->fqdn);
	assert_int_equal(slice->port_count, 1);
	assert_string_equal(slice->ports[0].name, "http");
	assert_int_equal(slice->ports[0].protocol, PROTOCOL_UDP);
	assert_int_equal(slice->ports[0].port, 8080);
	assert_int_equal(slice->endpoint_count, 1);
	endpoint = slice->endpoints;
	assert_string_equal(address(&endpoint->address), "10.1.2.3");
	assert_false(endpoint->ready);
	assert_true(endpoint->serving && endpoint->terminating);
	assert_string_equal(endpoint->hostname, "pod-1");
	assert_string_equal(endpoint->node_name, "n1");
	assert_string_equal(endpoint->zone, "z1");
	assert_string_equal(endpoint->target_namespace, "demo");
	assert_string_equal(endpoint->target_name, "web-0");
	assert_op(endpoint->target_uid_hash, !=, 0u);
	assert_int_equal(endpoint->zone_hint_count, 2);
	assert_string_equal(endpoint->zone_hints[1], "z2");
	assert_int_equal(endpoint->node_hint_count, 1);
	assert_string_equal(endpoint->node_hints[0], "n1");
	object_clear(&object);
}

static void test_absent_and_null_conditions_mean_ready(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE,
		SLICE("\"endpoints\":[{\"addresses\":[\"10.0.0.1\"]},"
		      "{\"addresses\":[\"10.0.0.2\"],\"conditions\":null},"
		      "{\"addresses\":[\"10.0.0.3\"],\"conditions\":{\"ready\":null}}]"),
		&object);
	for (unsigned i = 0; i < 3; i++) {
		const struct slice_endpoint *endpoint = &object.slices->endpoints[i];

		assert_true(endpoint->ready && endpoint->serving && !endpoint->terminating);
		assert_string_equal(endpoint->node_name, "");
		assert_int_equal(endpoint->target_uid_hash, 0);
	}
	object_clear(&object);
}

static void test_null_lists_are_empty(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE, SLICE("\"endpoints\":null,\"ports\":null"), &object);
	assert_int_equal(object.slices->endpoint_count, 0);
	assert_int_equal(object.slices->port_count, 0);
	object_clear(&object);
}

static void test_port_defaults_are_tcp_and_no_number(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE,
		SLICE("\"ports\":[{\"name\":\"\",\"port\":80},{\"name\":\"a\",\"port\":null}]"),
		&object);
	assert_int_equal(object.slices->port_count, 2);
	assert_string_equal(object.slices->ports[0].name, "");
	assert_int_equal(object.slices->ports[0].protocol, PROTOCOL_TCP);
	assert_int_equal(object.slices->ports[1].port, 0);
	assert_int_equal(gaps.count, 0);
	object_clear(&object);
}

/* As kube-proxy does; the API server sets "" where no name was given. */
static void test_a_slice_port_without_a_name_is_skipped(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE,
		SLICE("\"ports\":[{\"port\":80},{\"name\":null,\"port\":80},{\"name\":\"\","
		      "\"port\":81}]"),
		&object);
	assert_int_equal(object.slices->port_count, 1);
	assert_int_equal(object.slices->ports[0].port, 81);
	assert_int_equal(gaps.count, 2);
	object_clear(&object);
}

static void test_bad_ports_cost_only_themselves(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE,
		SLICE("\"ports\":[{\"name\":\"\",\"port\":0},{\"name\":\"\",\"port\":65536},"
		      "{\"name\":\"\",\"port\":-1},{\"name\":\"\",\"port\":80.5},"
		      "{\"name\":\"\",\"port\":\"80\"},{\"name\":\"\",\"port\":1e300},"
		      "{\"name\":\"\",\"port\":80,\"protocol\":\"QUIC\"},"
		      "{\"port\":80,\"name\":\"Not-A-Label\"},{\"name\":\"\",\"port\":65535}]"),
		&object);
	assert_int_equal(object.slices->port_count, 1);
	assert_int_equal(object.slices->ports[0].port, 65535);
	assert_int_equal(gaps.count, 8);
	object_clear(&object);
}

/* Stored by old clusters; k8s.io/utils/net, ParseIPSloppy. */
static void test_leading_zeros_of_an_address_are_decimal(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE, SLICE("\"endpoints\":[{\"addresses\":[\"010.000.0.01\"]}]"),
		&object);
	assert_int_equal(object.slices->endpoint_count, 1);
	assert_string_equal(address(&object.slices->endpoints[0].address), "10.0.0.1");
	object_clear(&object);
}

static void test_bad_addresses_cost_only_themselves(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE,
		SLICE("\"endpoints\":[{\"addresses\":[\"10.0.0.x1\"]},{\"addresses\":[\"fd00::1\"]}"
		      ","
		      "{\"addresses\":[]},{\"addresses\":null},{},{\"addresses\":[\"\"]},"
		      "{\"addresses\":[\"10.0.0.1\"],\"hostname\":\"kept\"}]"),
		&object);
	assert_int_equal(object.slices->endpoint_count, 1);
	assert_string_equal(object.slices->endpoints[0].hostname, "kept");
	assert_int_equal(gaps.count, 6);
	object_clear(&object);
}

static void test_an_ipv6_slice_takes_ipv6_only(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE,
		"{" SLICE_META ",\"addressType\":\"IPv6\",\"endpoints\":["
		"{\"addresses\":[\"10.0.0.1\"]},{\"addresses\":[\"fd00::1\"]}]}",
		&object);
	assert_int_equal(object.slices->family, IP_FAMILY_6);
	assert_int_equal(object.slices->endpoint_count, 1);
	assert_int_equal(gaps.count, 1);
	object_clear(&object);
}

static void test_fqdn_and_future_address_types_give_no_endpoints(void **state)
{
	static const char *const texts[] = {
		"{" SLICE_META
		",\"addressType\":\"FQDN\",\"endpoints\":[{\"addresses\":[\"a.b\"]}]}",
		"{" SLICE_META ",\"addressType\":\"IPv9\",\"endpoints\":[{\"addresses\":[\"9\"]}]}",
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct object object;

		decoded(OBJECT_ENDPOINT_SLICE, texts[i], &object);
		assert_true(object.slices->fqdn);
		assert_int_equal(object.slices->endpoint_count, 0);
		assert_int_equal(gaps.count, 0);
		object_clear(&object);
	}
	refused(OBJECT_ENDPOINT_SLICE, "{" SLICE_META "}", "web-abc: addressType");
}

static void test_a_service_label_that_is_no_name_is_no_service(void **state)
{
	static const char *const values[] = {"5", "\"\"", "\"a.b\"", "\"A\"", "null", "{}"};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct object object;
		char text[512];

		snprintf(text, sizeof(text),
			 "{\"metadata\":{\"name\":\"s\",\"namespace\":\"demo\","
			 "\"resourceVersion\":\"1\",\"labels\":{\"kubernetes.io/service-name\":%s,"
			 "\"service.kubernetes.io/headless\":\"\"}},\"addressType\":\"IPv4\"}",
			 values[i]);
		decoded(OBJECT_ENDPOINT_SLICE, text, &object);
		assert_string_equal(object.slices->service_name, "");
		assert_true(object.slices->headless);
		object_clear(&object);
	}
}

static void test_a_target_that_is_no_pod_is_ignored(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE,
		SLICE("\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"targetRef\":{\"kind\":"
		      "\"Node\","
		      "\"name\":\"n\",\"uid\":\"u\"}}]"),
		&object);
	assert_string_equal(object.slices->endpoints[0].target_name, "");
	assert_int_equal(object.slices->endpoints[0].target_uid_hash, 0);
	object_clear(&object);
}

static void test_text_of_an_endpoint_is_made_printable(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE,
		SLICE("\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"zone\":\"a\xff\\nb\"}]"),
		&object);
	assert_string_equal(object.slices->endpoints[0].zone, "a??b");
	object_clear(&object);
}

static void test_wrong_types_are_errors_that_name_object_and_field(void **state)
{
	static const char *const cases[][2] = {
		{SLICE("\"endpoints\":{}"),
		 "EndpointSlice demo/web-abc: endpoints is not an array"},
		{SLICE("\"endpoints\":[1]"), "endpoints[] is not an object"},
		{SLICE("\"ports\":7"), "ports is not an array"},
		{SLICE("\"ports\":[null]"), "ports[] is not an object"},
		{SLICE("\"ports\":[{\"name\":1}]"), "ports[].name is not a string"},
		{SLICE("\"endpoints\":[{\"addresses\":\"10.0.0.1\"}]"),
		 "addresses is not an array"},
		{SLICE("\"endpoints\":[{\"addresses\":[1]}]"), "addresses[0] is not a string"},
		{SLICE("\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"conditions\":[]}]"),
		 "conditions is not an object"},
		{SLICE("\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],"
		       "\"conditions\":{\"ready\":\"true\"}}]"),
		 "conditions.ready is not true or false"},
		{SLICE("\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"hints\":{\"forZones\":{}}}"
		       "]"),
		 "hints.forZones is not an array"},
		{"{" SLICE_META ",\"addressType\":4}", "addressType is not a string"},
		{"{\"kind\":\"Pod\"," SLICE_META "}", "kind is \"Pod\", expected EndpointSlice"},
		{"{\"metadata\":[]}", "metadata is not an object"},
		{"{}", "metadata.namespace"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(OBJECT_ENDPOINT_SLICE, cases[i][0], cases[i][1]);
}

static void test_members_differ_by_case(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINT_SLICE, SLICE("\"Endpoints\":7,\"PORTS\":8"), &object);
	object_clear(&object);
}

static void test_a_name_of_300_bytes_is_refused(void **state)
{
	char name[301], text[512];

	(void)state;
	memset(name, 'a', 300);
	name[300] = '\0';
	snprintf(text, sizeof(text), "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"%s\"}}",
		 name);
	refused(OBJECT_ENDPOINT_SLICE, text, "metadata.name \"aaaa");
	refused(OBJECT_ENDPOINTS, text, "metadata.name \"aaaa");
	refused(OBJECT_SERVICE, text, "metadata.name \"aaaa");
	snprintf(text, sizeof(text), "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"a\"}}", name);
	refused(OBJECT_SERVICE, text, "metadata.namespace \"aaaa");
}

static void test_illegal_names_are_refused(void **state)
{
	static const char *const names[] = {"",	    ".",    "a.", ".a",	 "-a",	  "a-", "a..b",
					    "a.-b", "a-.b", "A",  "a/b", "a\xff", "a b"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char text[128];

		snprintf(text, sizeof(text),
			 "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"%s\"}}", names[i]);
		refused(OBJECT_ENDPOINT_SLICE, text, "is not a legal name");
	}
}

static void test_a_slice_cut_at_any_byte_is_refused(void **state)
{
	struct object object;

	(void)state;
	for (size_t size = 0; size < sizeof(full_slice) - 1; size++)
		assert_int_equal(decode_bytes(OBJECT_ENDPOINT_SLICE, full_slice, size, &object),
				 -EBADMSG);
}

static void test_an_escaped_nul_does_not_end_a_string(void **state)
{
	struct object object;

	(void)state;
	refused(OBJECT_SERVICE, "{" META("bad\\u0000x") "}", "legal name");
	decoded(OBJECT_ENDPOINT_SLICE,
		"{" META("web") ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":"
				"[\"10.0.0.1\\u0000.example\"]},{\"addresses\":[\"10.0.0.2\"]}]}",
		&object);
	assert_int_equal(object.slices[0].endpoint_count, 1);
	assert_string_equal(address(&object.slices[0].endpoints[0].address), "10.0.0.2");
	object_clear(&object);
	/* The backslash is escaped: no NUL at all. */
	decoded(OBJECT_SERVICE, "{" META("web") ",\"spec\":{},\"x\":\"\\\\u0000\"}", &object);
	object_clear(&object);
}

static void test_nul_depth_and_garbage_are_refused(void **state)
{
	static const char nul[] = "{\"a\":\0 1}";
	char deep[2 * 200 + 8] = "{\"a\":";
	struct object object;

	(void)state;
	assert_int_equal(decode_bytes(OBJECT_SERVICE, nul, sizeof(nul) - 1, &object), -EBADMSG);
	memset(deep + 5, '[', 200);
	memset(deep + 205, ']', 200);
	deep[405] = '}';
	refused(OBJECT_SERVICE, deep, "nested deeper");
	refused(OBJECT_SERVICE, "", "ended early");
	refused(OBJECT_SERVICE, "{\"a\":tru}", "not valid JSON");
	refused(OBJECT_SERVICE, "{\"a\"}", "not valid JSON");
	refused(OBJECT_SERVICE, "{} {}", "");
	refused(OBJECT_SERVICE, "[]", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_of_a_slice_is_read),
		cmocka_unit_test(test_absent_and_null_conditions_mean_ready),
		cmocka_unit_test(test_null_lists_are_empty),
		cmocka_unit_test(test_port_defaults_are_tcp_and_no_number),
		cmocka_unit_test(test_a_slice_port_without_a_name_is_skipped),
		cmocka_unit_test(test_bad_ports_cost_only_themselves),
		cmocka_unit_test(test_leading_zeros_of_an_address_are_decimal),
		cmocka_unit_test(test_bad_addresses_cost_only_themselves),
		cmocka_unit_test(test_an_ipv6_slice_takes_ipv6_only),
		cmocka_unit_test(test_fqdn_and_future_address_types_give_no_endpoints),
		cmocka_unit_test(test_a_service_label_that_is_no_name_is_no_service),
		cmocka_unit_test(test_a_target_that_is_no_pod_is_ignored),
		cmocka_unit_test(test_text_of_an_endpoint_is_made_printable),
		cmocka_unit_test(test_wrong_types_are_errors_that_name_object_and_field),
		cmocka_unit_test(test_members_differ_by_case),
		cmocka_unit_test(test_a_name_of_300_bytes_is_refused),
		cmocka_unit_test(test_illegal_names_are_refused),
		cmocka_unit_test(test_a_slice_cut_at_any_byte_is_refused),
		cmocka_unit_test(test_an_escaped_nul_does_not_end_a_string),
		cmocka_unit_test(test_nul_depth_and_garbage_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
