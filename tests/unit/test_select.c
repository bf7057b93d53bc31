/* select: kube-proxy's rule, one test a clause; over 600 lines, as the clauses belong together. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/objects.h"

static struct test_service web;
static struct test_slice slices[4];
static unsigned slice_count;
static struct select_location place;

/* Service demo/web at 10.96.0.1, port http 80; one slice with port http 8080. */
static int setup(void **state)
{
	(void)state;
	test_service_init(&web, "10.96.0.1");
	test_service_port(&web, "http", PROTOCOL_TCP, 80);
	for (unsigned i = 0; i < 4; i++)
		test_slice_init(&slices[i]);
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 8080);
	slice_count = 1;
	place = (struct select_location){.node = "", .zone = ""};
	return 0;
}

static struct test_slice *another_slice(void)
{
	return &slices[slice_count++];
}

static struct slice_endpoint *add(const char *ip)
{
	return test_slice_endpoint(&slices[0], ip);
}

static struct slice_endpoint *add_unready(const char *ip)
{
	struct slice_endpoint *endpoint = add(ip);

	endpoint->ready = false;
	endpoint->serving = false;
	return endpoint;
}

static struct slice_endpoint *add_terminating(const char *ip, bool serving)
{
	struct slice_endpoint *endpoint = add_unready(ip);

	endpoint->serving = serving;
	endpoint->terminating = true;
	return endpoint;
}

static void hint_zone(struct slice_endpoint *endpoint, const char *const *zone)
{
	endpoint->zone_hints = zone;
	endpoint->zone_hint_count = 1;
}

static void hint_node(struct slice_endpoint *endpoint, const char *const *node)
{
	endpoint->node_hints = node;
	endpoint->node_hint_count = 1;
}

static const char *const zone_a[] = {"a"};
static const char *const zone_b[] = {"b"};
static const char *const node_1[] = {"n1"};
static const char *const node_2[] = {"n2"};

static void select_all(struct selection *selection)
{
	const struct endpoint_slice *list[4];
	struct service_state state = {
		.namespace = "demo",
		.name = "web",
		.service = &web.service,
		.slices = list,
		.slice_count = slice_count,
	};

	for (unsigned i = 0; i < slice_count; i++)
		list[i] = &slices[i].slice;
	assert_int_equal(select_endpoints(&state, &place, selection), 0);
}

/* "10.1.0.1:8080 ready; ..", used ones with a + in front. */
static const char *describe(const struct selected_port *port)
{
	static char text[2048];
	unsigned used = 0;
	size_t length = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		const struct selected_endpoint *endpoint = &port->endpoints[i];
		char ip[INET6_ADDRSTRLEN];

		ip_format(&endpoint->address, ip, sizeof(ip));
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s:%u %s; ",
					   endpoint->used ? "+" : "", ip, endpoint->port,
					   select_reason_word(endpoint->reason));
		used += endpoint->used;
	}
	assert_int_equal(port->used_count, used);
	return text;
}

/* The only port's endpoints. */
static void expect(const char *expected)
{
	struct selection selection;

	select_all(&selection);
	assert_int_equal(selection.port_count, 1);
	assert_string_equal(describe(&selection.ports[0]), expected);
	selection_clear(&selection);
}

static void expect_left_alone(void)
{
	struct selection selection;

	select_all(&selection);
	assert_int_equal(selection.port_count, 0);
	assert_int_equal(selection.vip_count, 0);
	assert_false(selection.headless);
	assert_true(selection.name_taken);
	selection_clear(&selection);
}

/* ---- which endpoints ---- */

/* Ready endpoints are used, others are not. */
static void test_ready(void **state)
{
	(void)state;
	add("10.1.0.2");
	add_unready("10.1.0.1");
	expect("10.1.0.1:8080 not-ready; +10.1.0.2:8080 ready; ");
}

/* None is ready: those that serve while they terminate are used. */
static void test_serving_terminating_fallback(void **state)
{
	(void)state;
	add_terminating("10.1.0.1", true);
	add_terminating("10.1.0.2", false);
	add_unready("10.1.0.3");
	expect("+10.1.0.1:8080 serving-terminating; 10.1.0.2:8080 terminating; "
	       "10.1.0.3:8080 not-ready; ");
}

/* One is ready: the terminating ones are not used beside it. */
static void test_never_ready_and_terminating_together(void **state)
{
	(void)state;
	add_terminating("10.1.0.1", true);
	add("10.1.0.2");
	expect("10.1.0.1:8080 terminating; +10.1.0.2:8080 ready; ");
}

/* publishNotReadyAddresses: the controller calls a terminating endpoint ready, and it is used. */
static void test_ready_though_terminating(void **state)
{
	struct slice_endpoint *endpoint = add_terminating("10.1.0.1", false);

	(void)state;
	endpoint->ready = true;
	expect("+10.1.0.1:8080 ready; ");
}

/* Serving but not ready and not terminating is never used. */
static void test_serving_alone_is_not_enough(void **state)
{
	struct slice_endpoint *endpoint = add_unready("10.1.0.1");

	(void)state;
	endpoint->serving = true;
	expect("10.1.0.1:8080 not-ready; ");
}

/* ---- which port ---- */

/* Ports belong together by their name, whatever their numbers. */
static void test_port_by_name(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	add("10.1.0.1");
	test_slice_port(other, "metrics", PROTOCOL_TCP, 80);
	test_slice_endpoint(other, "10.1.0.2");
	expect("+10.1.0.1:8080 ready; ");
}

/* The same name with another protocol is another port. */
static void test_port_by_protocol(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	add("10.1.0.1");
	test_slice_port(other, "http", PROTOCOL_UDP, 8080);
	test_slice_endpoint(other, "10.1.0.2");
	expect("+10.1.0.1:8080 ready; ");
}

/* A named targetPort may be another number in each pod: the number is the slice's. */
static void test_port_number_of_each_slice(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	add("10.1.0.1");
	test_slice_port(other, "http", PROTOCOL_TCP, 9090);
	test_slice_endpoint(other, "10.1.0.2");
	expect("+10.1.0.1:8080 ready; +10.1.0.2:9090 ready; ");
}

/* A slice port without a number serves nothing. */
static void test_slice_port_without_number(void **state)
{
	(void)state;
	add("10.1.0.1");
	slices[0].ports[0].port = 0;
	expect("");
}

/* A slice without ports (the controller's placeholder) has nothing to offer. */
static void test_slice_without_ports(void **state)
{
	(void)state;
	add("10.1.0.1");
	slices[0].slice.port_count = 0;
	expect("");
}

/* Two Service ports are two lists. */
static void test_two_ports(void **state)
{
	struct selection selection;

	(void)state;
	test_service_port(&web, "dns", PROTOCOL_UDP, 53);
	test_slice_port(&slices[0], "dns", PROTOCOL_UDP, 5353);
	add("10.1.0.1");
	select_all(&selection);
	assert_int_equal(selection.port_count, 2);
	assert_string_equal(describe(&selection.ports[0]), "+10.1.0.1:8080 ready; ");
	assert_string_equal(describe(&selection.ports[1]), "+10.1.0.1:5353 ready; ");
	assert_int_equal(selection.ports[1].protocol, PROTOCOL_UDP);
	selection_clear(&selection);
}

/* ---- duplicates ---- */

/* An endpoint that is being moved stands in two slices and counts once, as the ready one. */
static void test_duplicate_prefers_ready(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	test_slice_port(other, "http", PROTOCOL_TCP, 8080);
	add_unready("10.1.0.1");
	test_slice_endpoint(other, "10.1.0.1");
	expect("+10.1.0.1:8080 ready; ");
}

/* An address that a new pod got while the old one still goes: the one that does not terminate. */
static void test_duplicate_prefers_not_terminating(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	place.node = "n1";
	test_slice_port(other, "http", PROTOCOL_TCP, 8080);
	add_terminating("10.1.0.1", true)->node_name = "n1";
	test_slice_endpoint(other, "10.1.0.1")->node_name = "n2";
	expect("+10.1.0.1:8080 ready; ");
}

/* Of two that are alike otherwise the one on our node is kept. */
static void test_duplicate_prefers_local(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	place.node = "n1";
	web.service.internal_traffic_local = true;
	test_slice_port(other, "http", PROTOCOL_TCP, 8080);
	add("10.1.0.1")->node_name = "n2";
	test_slice_endpoint(other, "10.1.0.1")->node_name = "n1";
	expect("+10.1.0.1:8080 ready-local; ");
}

/* Of two on our own node the ready one is kept, in either order of their slices. */
static void test_duplicate_local_prefers_ready(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	place.node = "n1";
	test_slice_port(other, "http", PROTOCOL_TCP, 8080);
	add("10.1.0.1")->node_name = "n1";
	test_slice_endpoint(other, "10.1.0.1")->node_name = "n1";
	slices[1].endpoints[0].ready = false;
	expect("+10.1.0.1:8080 ready; ");
	slices[1].endpoints[0].ready = true;
	slices[0].endpoints[0].ready = false;
	expect("+10.1.0.1:8080 ready; ");
}

/* Two pods of the host network share an address and differ in the port: both are used. */
static void test_same_address_other_port_is_no_duplicate(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	test_slice_port(other, "http", PROTOCOL_TCP, 8081);
	add("10.1.0.1");
	test_slice_endpoint(other, "10.1.0.1");
	expect("+10.1.0.1:8080 ready; +10.1.0.1:8081 ready; ");
}

/* ---- families and kinds of slices ---- */

/* An IPv4 VIP has no IPv6 endpoints. */
static void test_family(void **state)
{
	struct test_slice *other = another_slice();

	(void)state;
	other->slice.family = IP_FAMILY_6;
	test_slice_port(other, "http", PROTOCOL_TCP, 8080);
	test_slice_endpoint(other, "fd00::1");
	add("10.1.0.1");
	expect("+10.1.0.1:8080 ready; ");
}

/* Two VIPs, one of each family: each port once a family, each with its own endpoints. */
static void test_dual_stack(void **state)
{
	struct test_slice *other = another_slice();
	struct selection selection;

	(void)state;
	web.service.cluster_ips[web.service.cluster_ip_count++] = ip_of("fd00:96::1");
	other->slice.family = IP_FAMILY_6;
	test_slice_port(other, "http", PROTOCOL_TCP, 8080);
	test_slice_endpoint(other, "fd00::1");
	add("10.1.0.1");
	select_all(&selection);
	assert_int_equal(selection.vip_count, 2);
	assert_int_equal(selection.port_count, 2);
	assert_string_equal(describe(&selection.ports[0]), "+10.1.0.1:8080 ready; ");
	assert_string_equal(describe(&selection.ports[1]), "+fd00::1:8080 ready; ");
	assert_int_equal(selection.ports[1].family, IP_FAMILY_6);
	assert_true(selection.ports[0].has_vip && selection.ports[1].has_vip);
	selection_clear(&selection);
}

/* Slices of type FQDN are nobody's endpoints. */
static void test_fqdn_slice(void **state)
{
	(void)state;
	add("10.1.0.1");
	slices[0].slice.fqdn = true;
	expect("");
}

/* A slice that is labelled headless is not for a VIP. */
static void test_headless_label(void **state)
{
	(void)state;
	add("10.1.0.1");
	slices[0].slice.headless = true;
	expect("");
}

/* ---- Services that are left alone ---- */

/* ExternalName is a DNS matter. */
static void test_external_name(void **state)
{
	(void)state;
	add("10.1.0.1");
	web.service.external_name = true;
	expect_left_alone();
}

/* Another proxy has taken the Service over. */
static void test_service_proxy_name(void **state)
{
	(void)state;
	add("10.1.0.1");
	web.service.other_proxy = true;
	expect_left_alone();
}

/* Neither headless nor with a clusterIP yet. */
static void test_no_cluster_ip(void **state)
{
	(void)state;
	add("10.1.0.1");
	web.service.cluster_ip_count = 0;
	expect_left_alone();
}

/* ---- topology hints ---- */

/* Every ready endpoint has a node hint and one is ours: only ours, and before any zone. */
static void test_node_hints(void **state)
{
	struct slice_endpoint *here = add("10.1.0.1");
	struct slice_endpoint *there = add("10.1.0.2");

	(void)state;
	place = (struct select_location){.node = "n1", .zone = "a"};
	hint_node(here, node_1);
	hint_node(there, node_2);
	hint_zone(here, zone_a);
	hint_zone(there, zone_a);
	expect("+10.1.0.1:8080 ready-same-node; 10.1.0.2:8080 other-node; ");
}

/* No node hint is ours: the zone decides. */
static void test_node_hints_fall_through_to_the_zone(void **state)
{
	struct slice_endpoint *near = add("10.1.0.1");
	struct slice_endpoint *far = add("10.1.0.2");

	(void)state;
	place = (struct select_location){.node = "n3", .zone = "a"};
	hint_node(near, node_1);
	hint_node(far, node_2);
	hint_zone(near, zone_a);
	hint_zone(far, zone_b);
	expect("+10.1.0.1:8080 ready-same-zone; 10.1.0.2:8080 other-zone; ");
}

/* Zone hints on all, one of them ours: only our zone. */
static void test_zone_hints(void **state)
{
	(void)state;
	place.zone = "a";
	hint_zone(add("10.1.0.1"), zone_a);
	hint_zone(add("10.1.0.2"), zone_b);
	expect("+10.1.0.1:8080 ready-same-zone; 10.1.0.2:8080 other-zone; ");
}

/* Zone hints, none of them ours: all are used. */
static void test_zone_hints_for_others_only(void **state)
{
	(void)state;
	place.zone = "c";
	hint_zone(add("10.1.0.1"), zone_a);
	hint_zone(add("10.1.0.2"), zone_b);
	expect("+10.1.0.1:8080 ready; +10.1.0.2:8080 ready; ");
}

/* One ready endpoint without a hint switches the hints off for all. */
static void test_one_without_a_hint_switches_off(void **state)
{
	(void)state;
	place = (struct select_location){.node = "n1", .zone = "a"};
	hint_zone(add("10.1.0.1"), zone_a);
	hint_zone(add("10.1.0.2"), zone_b);
	hint_node(add("10.1.0.3"), node_1);
	expect("+10.1.0.1:8080 ready; +10.1.0.2:8080 ready; +10.1.0.3:8080 ready; ");
}

/* Endpoints that are not ready have no say: neither their hint nor the lack of one. */
static void test_hints_of_unready_are_ignored(void **state)
{
	(void)state;
	place.zone = "a";
	hint_zone(add("10.1.0.1"), zone_b);
	hint_zone(add_unready("10.1.0.2"), zone_a);
	expect("+10.1.0.1:8080 ready; 10.1.0.2:8080 not-ready; ");
	hint_zone(&slices[0].endpoints[0], zone_a);
	slices[0].endpoints[1].zone_hint_count = 0;
	expect("+10.1.0.1:8080 ready-same-zone; 10.1.0.2:8080 not-ready; ");
}

/* Who does not know its zone is in none, even if a hint were empty. */
static void test_empty_zone_never_matches(void **state)
{
	static const char *const empty[] = {""};

	(void)state;
	hint_zone(add("10.1.0.1"), empty);
	hint_zone(add("10.1.0.2"), zone_b);
	expect("+10.1.0.1:8080 ready; +10.1.0.2:8080 ready; ");
}

/* The terminating fallback looks at no hint. */
static void test_fallback_ignores_topology(void **state)
{
	(void)state;
	place.zone = "a";
	hint_zone(add_terminating("10.1.0.1", true), zone_a);
	hint_zone(add_terminating("10.1.0.2", true), zone_b);
	expect("+10.1.0.1:8080 serving-terminating; +10.1.0.2:8080 serving-terminating; ");
}

/* ---- internalTrafficPolicy: Local ---- */

static void local_policy(void)
{
	web.service.internal_traffic_local = true;
	place = (struct select_location){.node = "n1", .zone = "a"};
}

/* Only ready endpoints of our own node, hints or not. */
static void test_local_policy(void **state)
{
	(void)state;
	local_policy();
	add("10.1.0.1")->node_name = "n1";
	add("10.1.0.2")->node_name = "n2";
	hint_zone(&slices[0].endpoints[0], zone_b);
	hint_zone(&slices[0].endpoints[1], zone_a);
	expect("+10.1.0.1:8080 ready-local; 10.1.0.2:8080 not-local; ");
}

/* None here and one elsewhere: none is used, and that is told apart from none at all. */
static void test_local_policy_without_local(void **state)
{
	struct selection selection;

	(void)state;
	local_policy();
	select_all(&selection);
	assert_false(selection.ports[0].usable_elsewhere);
	selection_clear(&selection);
	add("10.1.0.2")->node_name = "n2";
	select_all(&selection);
	assert_string_equal(describe(&selection.ports[0]), "10.1.0.2:8080 not-local; ");
	assert_true(selection.ports[0].local_only);
	assert_true(selection.ports[0].usable_elsewhere);
	selection_clear(&selection);
}

/* No ready one here: those of our node that serve while they terminate, though others are ready
 * elsewhere. */
static void test_local_terminating_fallback(void **state)
{
	(void)state;
	local_policy();
	add_terminating("10.1.0.1", true)->node_name = "n1";
	add("10.1.0.2")->node_name = "n2";
	add_terminating("10.1.0.3", true)->node_name = "n2";
	expect("+10.1.0.1:8080 local-serving-terminating; 10.1.0.2:8080 not-local; "
	       "10.1.0.3:8080 not-local; ");
}

/* Who does not know its node has no local endpoint, not even one without a node. */
static void test_local_policy_without_a_node(void **state)
{
	(void)state;
	local_policy();
	place.node = "";
	add("10.1.0.1");
	expect("10.1.0.1:8080 not-local; ");
}

/* ---- the rest ---- */

/* sessionAffinity and the VIPs are handed on. */
static void test_affinity_and_vips(void **state)
{
	struct selection selection;
	struct ip_address vip = ip_of("10.96.0.1");

	(void)state;
	web.service.affinity_timeout_s = 10800;
	select_all(&selection);
	assert_int_equal(selection.affinity_timeout_s, 10800);
	assert_int_equal(selection.vip_count, 1);
	assert_memory_equal(&selection.vips[0], &vip, sizeof(vip));
	assert_int_equal(selection.ports[0].port, 80);
	selection_clear(&selection);
}

/* A Service that is not known gives nothing. */
static void test_unknown_service(void **state)
{
	struct service_state nothing = {.namespace = "demo", .name = "web"};
	struct selection selection;

	(void)state;
	assert_int_equal(select_endpoints(&nothing, &place, &selection), 0);
	assert_int_equal(selection.port_count, 0);
	selection_clear(&selection);
}

#define clause(function) cmocka_unit_test_setup(function, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		clause(test_ready),
		clause(test_serving_terminating_fallback),
		clause(test_never_ready_and_terminating_together),
		clause(test_ready_though_terminating),
		clause(test_serving_alone_is_not_enough),
		clause(test_port_by_name),
		clause(test_port_by_protocol),
		clause(test_port_number_of_each_slice),
		clause(test_slice_port_without_number),
		clause(test_slice_without_ports),
		clause(test_two_ports),
		clause(test_duplicate_prefers_ready),
		clause(test_duplicate_prefers_not_terminating),
		clause(test_duplicate_prefers_local),
		clause(test_duplicate_local_prefers_ready),
		clause(test_same_address_other_port_is_no_duplicate),
		clause(test_family),
		clause(test_dual_stack),
		clause(test_fqdn_slice),
		clause(test_headless_label),
		clause(test_external_name),
		clause(test_service_proxy_name),
		clause(test_no_cluster_ip),
		clause(test_node_hints),
		clause(test_node_hints_fall_through_to_the_zone),
		clause(test_zone_hints),
		clause(test_zone_hints_for_others_only),
		clause(test_one_without_a_hint_switches_off),
		clause(test_hints_of_unready_are_ignored),
		clause(test_empty_zone_never_matches),
		clause(test_fallback_ignores_topology),
		clause(test_local_policy),
		clause(test_local_policy_without_local),
		clause(test_local_terminating_fallback),
		clause(test_local_policy_without_a_node),
		clause(test_affinity_and_vips),
		clause(test_unknown_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
