/* json: Services and Endpoints, each field and what it costs when it is wrong. */
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

/* ---- Service ---- */

static void test_every_field_of_a_service_is_read(void **state)
{
	const struct service *service;
	struct object object;

	(void)state;
	decoded(OBJECT_SERVICE,
		"{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\",\"resourceVersion\":\"5\","
		"\"annotations\":{\"k8slb.io/attempts\":\"1\"},"
		"\"labels\":{\"service.kubernetes.io/service-proxy-name\":\"x\"}},\"spec\":{"
		"\"clusterIP\":\"10.96.0.5\",\"clusterIPs\":[\"10.96.0.5\",\"fd00::5\"],"
		"\"ipFamilies\":[\"IPv4\",\"IPv6\"],"
		"\"internalTrafficPolicy\":\"Local\",\"sessionAffinity\":\"ClientIP\","
		"\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":60}},\"ports\":["
		"{\"name\":\"http\",\"port\":80,\"targetPort\":\"x\"},"
		"{\"name\":\"dns\",\"port\":53,\"protocol\":\"UDP\"},{\"name\":\"none\"}]}}",
		&object);
	service = object.service;
	assert_string_equal(service->namespace, "demo");
	assert_string_equal(service->name, "web");
	assert_int_equal(service->cluster_ip_count, 2);
	assert_string_equal(address(&service->cluster_ips[1]), "fd00::5");
	assert_int_equal(service->family_count, 2);
	assert_int_equal(service->families[1], IP_FAMILY_6);
	assert_true(service->other_proxy && service->internal_traffic_local);
	assert_true(service->one_attempt);
	assert_false(service->headless || service->external_name);
	assert_int_equal(service->affinity_timeout_s, 60);
	assert_int_equal(service->port_count, 2);
	assert_int_equal(service->ports[1].protocol, PROTOCOL_UDP);
	assert_int_equal(service->ports[1].port, 53);
	assert_int_equal(gaps.count, 1);
	object_clear(&object);
}

static void test_cluster_ip_serves_where_there_are_no_cluster_ips(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_SERVICE, SERVICE("\"clusterIP\":\"10.96.0.5\",\"clusterIPs\":[]"), &object);
	assert_int_equal(object.service->cluster_ip_count, 1);
	assert_int_equal(object.service->affinity_timeout_s, 0);
	assert_false(object.service->one_attempt);
	object_clear(&object);
}

static void test_only_1_is_one_attempt(void **state)
{
	static const char *const values[] = {"\"2\"", "1", "true", "null", "\"\"", "{}"};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct object object;
		char text[256];

		snprintf(text, sizeof(text),
			 "{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\","
			 "\"resourceVersion\":\"5\",\"annotations\":{\"k8slb.io/attempts\":%s}},"
			 "\"spec\":{\"clusterIP\":\"10.96.0.5\"}}",
			 values[i]);
		decoded(OBJECT_SERVICE, text, &object);
		assert_false(object.service->one_attempt);
		object_clear(&object);
	}
}

/* kube-proxy, GetClusterIPByFamily and IsServiceIPSet. */
static void test_cluster_ips_count_by_their_families(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_SERVICE,
		SERVICE("\"clusterIP\":\"10.96.0.5\",\"clusterIPs\":[\"10.96.0.5\",\"fd00::5\"]"),
		&object);
	assert_int_equal(object.service->cluster_ip_count, 1);
	object_clear(&object);
	decoded(OBJECT_SERVICE, SERVICE("\"clusterIP\":\"10.96.0.5\",\"ipFamilies\":[\"IPv4\"]"),
		&object);
	assert_int_equal(object.service->cluster_ip_count, 0);
	object_clear(&object);
	decoded(OBJECT_SERVICE, SERVICE("\"clusterIPs\":[\"10.96.0.5\"],\"ipFamilies\":[\"IPv4\"]"),
		&object);
	assert_int_equal(object.service->cluster_ip_count, 0);
	object_clear(&object);
}

static void test_headless_and_external_name_have_no_cluster_ip(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_SERVICE, SERVICE("\"clusterIP\":\"None\",\"clusterIPs\":[\"None\"]"),
		&object);
	assert_true(object.service->headless);
	assert_int_equal(object.service->cluster_ip_count, 0);
	object_clear(&object);
	decoded(OBJECT_SERVICE,
		SERVICE("\"type\":\"ExternalName\",\"externalName\":\"a.b\",\"clusterIP\":\"\""),
		&object);
	assert_true(object.service->external_name);
	assert_false(object.service->headless);
	assert_int_equal(object.service->cluster_ip_count, 0);
	object_clear(&object);
}

/* What the API server refuses, in every place that an address can stand in. */
static void test_addresses_that_no_pod_has(void **state)
{
	static const char *const texts[] = {
		"127.0.0.1",
		"127.255.255.254",
		"0.0.0.0",
		"169.254.169.254",
		"224.0.0.1",
		"255.255.255.255",
		"127.000.000.001",
		"::",
		"::1",
		"fe80::1",
		"ff02::1",
		"::ffff:10.0.0.1",
		"::ffff:127.0.0.1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *const forms[] = {
			"{" SLICE_META
			",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"%s\"]}]}",
			"{" SLICE_META
			",\"addressType\":\"IPv6\",\"endpoints\":[{\"addresses\":[\"%s\"]}]}",
			"{" META("web") ",\"subsets\":[{\"addresses\":[{\"ip\":\"%s\"}]}]}",
			"{" META("web") ",\"spec\":{\"clusterIP\":\"%s\"}}",
		};
		static const enum object_kind kinds[] = {OBJECT_ENDPOINT_SLICE,
							 OBJECT_ENDPOINT_SLICE, OBJECT_ENDPOINTS,
							 OBJECT_SERVICE};

		for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
			const char *place = strstr(forms[f], "%s");
			struct object object;
			char text[512];

			snprintf(text, sizeof(text), "%.*s%s%s", (int)(place - forms[f]), forms[f],
				 texts[i], place + 2);
			decoded(kinds[f], text, &object);
			assert_int_equal(gaps.count, 1);
			assert_non_null(
				strstr(gaps.first, "can be no address of a Service or a pod"));
			assert_true(f == 3   ? object.service->cluster_ip_count == 0
				    : f == 2 ? object.slice_count == 0
					     : object.slices[0].endpoint_count == 0);
			object_clear(&object);
		}
	}
}

static void test_a_cluster_ip_that_does_not_parse_is_skipped(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_SERVICE,
		SERVICE("\"clusterIP\":\"10.96.0\",\"clusterIPs\":[\"10.96.0\",\"fd00::6\"],"
			"\"ipFamilies\":[\"IPv4\",\"IPv6\"]"),
		&object);
	assert_int_equal(object.service->cluster_ip_count, 1);
	assert_int_equal(gaps.count, 1);
	object_clear(&object);
}

static void test_an_affinity_timeout_out_of_range_is_the_default(void **state)
{
	static const char *const values[] = {"0", "86401", "-1", "1.5", "\"9\"", "null"};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct object object;
		char text[512];

		snprintf(text, sizeof(text),
			 SERVICE("\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":"
				 "{\"clientIP\":{\"timeoutSeconds\":%s}}"),
			 values[i]);
		decoded(OBJECT_SERVICE, text, &object);
		assert_int_equal(object.service->affinity_timeout_s, 10800);
		object_clear(&object);
	}
}

static void test_wrong_types_in_a_service_are_errors(void **state)
{
	(void)state;
	refused(OBJECT_SERVICE, "{" META("web") "}", "Service demo/web: spec is missing");
	refused(OBJECT_SERVICE, SERVICE("\"clusterIP\":5"), "spec.clusterIP is not a string");
	refused(OBJECT_SERVICE, SERVICE("\"clusterIPs\":[5]"), "spec.clusterIPs[] is not a string");
	refused(OBJECT_SERVICE, SERVICE("\"ports\":{}"), "spec.ports is not an array");
	refused(OBJECT_SERVICE, SERVICE("\"ports\":[[]]"), "ports[] is not an object");
}

/* ---- Endpoints ---- */

static void test_each_subset_and_family_becomes_a_slice(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINTS,
		"{" META("web") ",\"subsets\":[{\"addresses\":[{\"ip\":\"10.0.0.1\",\"nodeName\":"
				"\"n\","
				"\"targetRef\":{\"kind\":\"Pod\",\"name\":\"p\"}},{\"ip\":\"fd00::"
				"1\"},{\"ip\":\"x\"}],"
				"\"notReadyAddresses\":[{\"ip\":\"10.0.0.2\"}],\"ports\":[{"
				"\"port\":80},{\"port\":0}]},"
				"{\"addresses\":[{\"ip\":\"10.0.0.3\"}],\"ports\":[{\"port\":81,"
				"\"name\":\"b\"}]},"
				"{\"addresses\":null,\"ports\":null}]}",
		&object);
	assert_int_equal(object.slice_count, 3);
	assert_int_equal(gaps.count, 2);
	assert_string_equal(object.slices[0].service_name, "web");
	assert_int_equal(object.slices[0].endpoint_count, 2);
	assert_true(object.slices[0].endpoints[0].ready);
	assert_string_equal(object.slices[0].endpoints[0].target_name, "p");
	assert_string_equal(object.slices[0].endpoints[0].zone, "");
	assert_false(object.slices[0].endpoints[1].ready);
	assert_false(object.slices[0].endpoints[1].serving);
	assert_int_equal(object.slices[1].family, IP_FAMILY_6);
	assert_int_equal(object.slices[1].port_count, 1);
	assert_int_equal(object.slices[2].ports[0].port, 81);
	object_clear(&object);
}

static void test_endpoints_with_a_dotted_name_are_of_no_service(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINTS,
		"{" META("k8s.io-lock") ",\"subsets\":[{\"addresses\":[{\"ip\":\"10.0.0.1\"}]}]}",
		&object);
	assert_string_equal(object.slices[0].service_name, "");
	object_clear(&object);
}

static void test_truncated_endpoints_say_so(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINTS,
		"{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\",\"resourceVersion\":\"5\","
		"\"annotations\":{\"endpoints.kubernetes.io/over-capacity\":\"truncated\"}}}",
		&object);
	assert_true(object.truncated);
	decoded(OBJECT_ENDPOINTS, "{" META("web") "}", &object);
	assert_false(object.truncated);
}

static void test_endpoints_without_subsets_have_no_slices(void **state)
{
	struct object object;

	(void)state;
	decoded(OBJECT_ENDPOINTS, "{" META("web") ",\"subsets\":null}", &object);
	assert_int_equal(object.slice_count, 0);
	object_clear(&object);
	refused(OBJECT_ENDPOINTS, "{" META("web") ",\"subsets\":[{\"addresses\":[{\"ip\":7}]}]}",
		"Endpoints demo/web: subsets[].addresses[].ip is not a string");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_of_a_service_is_read),
		cmocka_unit_test(test_cluster_ip_serves_where_there_are_no_cluster_ips),
		cmocka_unit_test(test_cluster_ips_count_by_their_families),
		cmocka_unit_test(test_headless_and_external_name_have_no_cluster_ip),
		cmocka_unit_test(test_addresses_that_no_pod_has),
		cmocka_unit_test(test_a_cluster_ip_that_does_not_parse_is_skipped),
		cmocka_unit_test(test_only_1_is_one_attempt),
		cmocka_unit_test(test_an_affinity_timeout_out_of_range_is_the_default),
		cmocka_unit_test(test_wrong_types_in_a_service_are_errors),
		cmocka_unit_test(test_each_subset_and_family_becomes_a_slice),
		cmocka_unit_test(test_endpoints_with_a_dotted_name_are_of_no_service),
		cmocka_unit_test(test_truncated_endpoints_say_so),
		cmocka_unit_test(test_endpoints_without_subsets_have_no_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
