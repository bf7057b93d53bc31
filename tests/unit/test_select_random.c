/* select: what holds for every Service, shown on random ones. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/objects.h"

#define SLICES 4

static struct test_service web;
static struct test_slice slices[SLICES];
static struct select_location place;

static const char *const names[] = {"", "a", "b", "c"};

static uint32_t chance(uint64_t *seed, uint32_t of)
{
	return test_random(seed) % of;
}

static bool has_address(const struct test_slice *slice, const struct ip_address *address)
{
	for (unsigned i = 0; i < slice->slice.endpoint_count; i++) {
		if (ip_equal(&slice->endpoints[i].address, address))
			return true;
	}
	return false;
}

/* Few addresses, so that slices share some; what two of them say differs in all but the pod. Within
 * one slice each comes once: there the order of twins means something. */
static void random_endpoint(uint64_t *seed, struct test_slice *slice)
{
	struct slice_endpoint *endpoint;
	struct ip_address address;
	char ip[32];

	snprintf(ip, sizeof(ip), "10.1.0.%u", 1 + chance(seed, 12));
	address = ip_of(ip);
	if (has_address(slice, &address))
		return;
	endpoint = test_slice_endpoint(slice, ip);
	endpoint->ready = chance(seed, 3) != 0;
	endpoint->serving = chance(seed, 3) != 0;
	endpoint->terminating = chance(seed, 4) == 0;
	endpoint->node_name = names[chance(seed, 4)];
	endpoint->zone_hints = &names[1 + chance(seed, 3)];
	endpoint->zone_hint_count = chance(seed, 8) != 0;
	endpoint->node_hints = &names[1 + chance(seed, 3)];
	endpoint->node_hint_count = chance(seed, 8) != 0;
}

static void random_case(uint64_t *seed)
{
	test_service_init(&web, chance(seed, 8) ? "10.96.0.1" : NULL);
	test_service_port(&web, "a", PROTOCOL_TCP, 80);
	web.service.internal_traffic_local = chance(seed, 3) == 0;
	place = (struct select_location){.node = names[chance(seed, 4)],
					 .zone = names[chance(seed, 4)]};
	for (unsigned s = 0; s < SLICES; s++) {
		unsigned count = chance(seed, 6);

		test_slice_init(&slices[s]);
		test_slice_port(&slices[s], chance(seed, 4) ? "a" : "b", PROTOCOL_TCP,
				(uint16_t)(8080 + chance(seed, 2)));
		for (unsigned e = 0; e < count; e++)
			random_endpoint(seed, &slices[s]);
	}
}

static void select_in_order(const unsigned *order, struct selection *selection)
{
	const struct endpoint_slice *list[SLICES];
	struct service_state state = {
		.namespace = "demo",
		.name = "web",
		.service = &web.service,
		.slices = list,
		.slice_count = SLICES,
	};

	for (unsigned i = 0; i < SLICES; i++)
		list[i] = &slices[order[i]].slice;
	assert_int_equal(select_endpoints(&state, &place, selection), 0);
}

static bool is_use(enum select_reason reason)
{
	switch (reason) {
	case SELECT_READY:
	case SELECT_READY_SAME_ZONE:
	case SELECT_READY_SAME_NODE:
	case SELECT_READY_LOCAL:
	case SELECT_SERVING_TERMINATING:
	case SELECT_LOCAL_TERMINATING:
		return true;
	default:
		return false;
	}
}

static void check_endpoint(const struct selected_port *port,
			   const struct selected_endpoint *endpoint)
{
	const struct slice_endpoint *from = endpoint->endpoint;

	assert_int_equal(endpoint->used, is_use(endpoint->reason));
	assert_string_not_equal(select_reason_word(endpoint->reason), "?");
	assert_memory_equal(&endpoint->address, &from->address, sizeof(from->address));
	if (port->addresses)
		assert_int_equal(endpoint->port, 0);
	else
		assert_in_range(endpoint->port, 8080, 8081);
	if (!endpoint->used)
		return;
	assert_true(from->ready || (from->serving && from->terminating));
	if (port->local_only)
		assert_string_equal(from->node_name, place.node);
	if (port->topology == SELECT_TOPOLOGY_NODE)
		assert_string_equal(from->node_hints[0], place.node);
	if (port->topology == SELECT_TOPOLOGY_ZONE)
		assert_string_equal(from->zone_hints[0], place.zone);
}

static void check_port(const struct selected_port *port)
{
	unsigned used = 0;
	bool usable = false;

	for (unsigned i = 0; i < port->endpoint_count; i++) {
		const struct selected_endpoint *endpoint = &port->endpoints[i];
		const struct slice_endpoint *from = endpoint->endpoint;

		if (i) {
			const struct selected_endpoint *last = &port->endpoints[i - 1];
			int order =
				memcmp(&last->address, &endpoint->address, sizeof(last->address));

			assert_true(order < 0 || (order == 0 && last->port < endpoint->port));
		}
		check_endpoint(port, endpoint);
		used += endpoint->used;
		/* Names of headless Services answer with ready endpoints only. */
		usable |= from->ready ||
			  (from->serving && from->terminating && !web.service.headless);
	}
	assert_int_equal(port->used_count, used);
	/* What could serve somewhere is used, or it is said that it stands elsewhere. */
	assert_int_equal(usable, used > 0 || port->usable_elsewhere);
}

static void check_same(const struct selection *a, const struct selection *b)
{
	assert_int_equal(a->port_count, b->port_count);
	for (unsigned p = 0; p < a->port_count; p++) {
		const struct selected_port *left = &a->ports[p];
		const struct selected_port *right = &b->ports[p];

		assert_int_equal(left->endpoint_count, right->endpoint_count);
		assert_int_equal(left->used_count, right->used_count);
		for (unsigned i = 0; i < left->endpoint_count; i++) {
			assert_memory_equal(&left->endpoints[i].address,
					    &right->endpoints[i].address,
					    sizeof(left->endpoints[i].address));
			assert_int_equal(left->endpoints[i].port, right->endpoints[i].port);
			assert_int_equal(left->endpoints[i].reason, right->endpoints[i].reason);
		}
	}
}

static void reverse_endpoints(struct test_slice *slice)
{
	unsigned count = slice->slice.endpoint_count;

	for (unsigned i = 0; i < count / 2; i++) {
		struct slice_endpoint kept = slice->endpoints[i];

		slice->endpoints[i] = slice->endpoints[count - 1 - i];
		slice->endpoints[count - 1 - i] = kept;
	}
}

/* No endpoint comes twice, each has a reason that fits it, and what is usable is used. */
static void test_every_endpoint_has_its_reason(void **state)
{
	static const unsigned order[SLICES] = {0, 1, 2, 3};
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < test_count(3000, 100000); i++) {
		struct selection selection;

		random_case(&seed);
		select_in_order(order, &selection);
		for (unsigned p = 0; p < selection.port_count; p++)
			check_port(&selection.ports[p]);
		selection_clear(&selection);
	}
}

/* The order in which slices and endpoints became known changes nothing. */
static void test_order_changes_nothing(void **state)
{
	static const unsigned forward[SLICES] = {0, 1, 2, 3};
	static const unsigned shuffled[SLICES] = {2, 0, 3, 1};
	uint64_t seed = 1000000;

	(void)state;
	for (unsigned i = 0; i < test_count(3000, 100000); i++) {
		struct selection first, second;

		random_case(&seed);
		select_in_order(forward, &first);
		/* The reversal moves the structs that @first points to, but not its copies. */
		for (unsigned s = 0; s < SLICES; s++)
			reverse_endpoints(&slices[s]);
		select_in_order(shuffled, &second);
		check_same(&first, &second);
		selection_clear(&first);
		selection_clear(&second);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_endpoint_has_its_reason),
		cmocka_unit_test(test_order_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
