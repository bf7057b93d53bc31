/* json: what each field of the Kubernetes objects means, and what it costs when it is wrong.
 * One test a behaviour makes it long: every field of three kinds has its rule. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kube/json.h"
#include "kube/json_stream.h"
#include "support/assert_op.h"

#define META(name) \
	"\"metadata\":{\"name\":\"" name "\",\"namespace\":\"demo\",\"resourceVersion\":\"5\"}"
#define SLICE_META                                                                                \
	"\"metadata\":{\"name\":\"web-abc\",\"namespace\":\"demo\",\"resourceVersion\":\"1234\"," \
	"\"labels\":{\"kubernetes.io/service-name\":\"web\"}}"
#define SLICE(members) "{" SLICE_META ",\"addressType\":\"IPv4\"," members "}"
#define SERVICE(spec)  "{" META("web") ",\"spec\":{" spec "}}"

static char error[256];
static struct json_gaps gaps;

/* Copies to memory without a NUL, so that a read beyond the end is seen. */
static int decode_bytes(enum object_kind kind, const char *text, size_t size, struct object *object)
{
	char *copy = malloc(size ? size : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, text, size);
	memset(object, 0, sizeof(*object));
	gaps.count = 0;
	error[0] = '\0';
	rc = json_decode_object(kind, copy, size, object, &gaps, error, sizeof(error));
	free(copy);
	if (rc < 0) {
		assert_true(error[0]);
		assert_int_equal(object->slice_count, 0);
		assert_null(object->service);
	}
	return rc;
}

static int decode(enum object_kind kind, const char *text, struct object *object)
{
	return decode_bytes(kind, text, strlen(text), object);
}

static void decoded(enum object_kind kind, const char *text, struct object *object)
{
	int rc = decode(kind, text, object);

	if (rc < 0)
		fail_msg("%s: %s", text, error);
}

static void refused(enum object_kind kind, const char *text, const char *why)
{
	struct object object;

	assert_int_equal(decode(kind, text, &object), -EBADMSG);
	if (!strstr(error, why))
		fail_msg("\"%s\" does not say \"%s\"", error, why);
}

static const char *address(const struct ip_address *ip)
{
	static char text[INET6_ADDRSTRLEN];

	ip_format(ip, text, sizeof(text));
	return text;
}

/* ---- EndpointSlice ---- */

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
	assert_string_equal(object.resource_version, "1234");
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

static void test_a_resource_version_is_bounded(void **state)
{
	char version[65], text[256];
	struct object object;

	(void)state;
	decoded(OBJECT_SERVICE,
		"{\"metadata\":{\"namespace\":\"demo\",\"name\":\"a\"},\"spec\":{}}", &object);
	assert_string_equal(object.resource_version, "");
	object_clear(&object);
	memset(version, '1', 64);
	version[64] = '\0';
	snprintf(
		text, sizeof(text),
		"{\"metadata\":{\"namespace\":\"demo\",\"name\":\"a\",\"resourceVersion\":\"%s\"}}",
		version);
	refused(OBJECT_SERVICE, text, "too long");
	refused(OBJECT_SERVICE,
		"{\"metadata\":{\"namespace\":\"demo\",\"name\":\"a\",\"resourceVersion\":\"1\\n\"}"
		"}",
		"illegal character");
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

/* ---- Service ---- */

static void test_every_field_of_a_service_is_read(void **state)
{
	const struct service *service;
	struct object object;

	(void)state;
	decoded(OBJECT_SERVICE,
		"{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\",\"resourceVersion\":\"5\","
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
	object_clear(&object);
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

/* ---- Watch events, Status, lists ---- */

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
	}
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
	assert_string_equal(event.object.resource_version, "9");
	assert_null(event.object.service);
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
	free(envelope.continue_token);
	assert_int_equal(
		decode_envelope("{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"\"}}",
				&envelope),
		0);
	assert_null(envelope.continue_token);
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
		cmocka_unit_test(test_a_resource_version_is_bounded),
		cmocka_unit_test(test_a_slice_cut_at_any_byte_is_refused),
		cmocka_unit_test(test_an_escaped_nul_does_not_end_a_string),
		cmocka_unit_test(test_nul_depth_and_garbage_are_refused),
		cmocka_unit_test(test_each_subset_and_family_becomes_a_slice),
		cmocka_unit_test(test_endpoints_with_a_dotted_name_are_of_no_service),
		cmocka_unit_test(test_truncated_endpoints_say_so),
		cmocka_unit_test(test_endpoints_without_subsets_have_no_slices),
		cmocka_unit_test(test_every_field_of_a_service_is_read),
		cmocka_unit_test(test_cluster_ip_serves_where_there_are_no_cluster_ips),
		cmocka_unit_test(test_cluster_ips_count_by_their_families),
		cmocka_unit_test(test_headless_and_external_name_have_no_cluster_ip),
		cmocka_unit_test(test_addresses_that_no_pod_has),
		cmocka_unit_test(test_a_cluster_ip_that_does_not_parse_is_skipped),
		cmocka_unit_test(test_an_affinity_timeout_out_of_range_is_the_default),
		cmocka_unit_test(test_wrong_types_in_a_service_are_errors),
		cmocka_unit_test(test_events_carry_the_object),
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
