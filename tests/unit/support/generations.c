// SPDX-License-Identifier: Apache-2.0
#include "support/generations.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "pick/pick.h"
#include "support/objects.h"
#include "support/assert_op.h"

#define ENDPOINTS_MAX 40u

static const char *const vips[GENERATION_SERVICES] = {"10.96.0.1", "10.96.0.2", "10.96.0.3"};

static unsigned count_at(uint64_t generation, unsigned service)
{
	return 1 + (unsigned)(hash_mix(generation * GENERATION_SERVICES + service) % ENDPOINTS_MAX);
}

static uint64_t mark_of(uint64_t generation, unsigned service, unsigned index)
{
	return hash_mix(generation << 16 ^ service << 8 ^ index);
}

static uint16_t port_at(uint64_t generation)
{
	return (uint16_t)(1 + generation % 60000);
}

void generation_put(struct table_writer *writer, uint64_t generation)
{
	static struct slice_endpoint marks[ENDPOINTS_MAX];

	for (unsigned s = 0; s < GENERATION_SERVICES; s++) {
		struct selection selection;
		char name[16];

		test_selection(&selection, vips[s], 80, "10.1.0.0", count_at(generation, s),
			       port_at(generation));
		for (unsigned i = 0; i < selection.ports[0].endpoint_count; i++) {
			marks[i] = *selection.ports[0].endpoints[i].endpoint;
			marks[i].target_uid_hash = mark_of(generation, s, i);
			selection.ports[0].endpoints[i].endpoint = &marks[i];
		}
		snprintf(name, sizeof(name), "web-%u", s);
		assert_op(table_writer_put(writer, "demo", name, &selection), >=, 0);
		selection_clear(&selection);
	}
}

void generation_publish(struct table_writer *writer, uint64_t generation)
{
	generation_put(writer, generation);
	assert_int_equal(table_writer_publish(writer), 0);
	assert_int_equal(table_writer_size(writer).generation, generation);
}

void generation_put_bulk(struct table_writer *writer, unsigned endpoints)
{
	struct selection bulk;

	test_selection(&bulk, "10.97.0.1", 80, "10.2.0.0", endpoints, 8080);
	assert_op(table_writer_put(writer, "demo", "bulk", &bulk), >=, 0);
	selection_clear(&bulk);
}

static void check_pick(struct generation_reader *reader, const struct table_endpoint *endpoint,
		       uint64_t generation, unsigned service)
{
	unsigned index = endpoint->address.bytes[15];

	reader->torn += index >= count_at(generation, service) ||
			endpoint->uid_hash != mark_of(generation, service, index) ||
			endpoint->port != port_at(generation);
	reader->went_back += generation < reader->last_generation;
	reader->last_generation = generation;
	reader->picks++;
}

static void check_snapshot(struct generation_reader *reader, const struct table_view *view)
{
	unsigned counts[GENERATION_SERVICES] = {0};
	struct table_read read;

	if (table_read_begin(view, &read) < 0)
		return;
	for (unsigned s = 0; s < GENERATION_SERVICES; s++) {
		struct ip_address vip = ip_of(vips[s]);
		struct table_port port;

		if (table_find_vip(&read, &vip, 80, PROTOCOL_TCP, &port) == 0)
			counts[s] = port.endpoint_count;
	}
	if (!table_read_valid(&read))
		return;
	for (unsigned s = 0; s < GENERATION_SERVICES; s++)
		reader->torn += counts[s] != count_at(read.generation, s);
}

void generation_read(struct generation_reader *reader, const struct table_view *view)
{
	struct pick_state state = {
		.memory = reader->memory,
		.rules = HEALTH_DEFAULTS,
		.seed = reader->number,
		.policy = reader->number % 2 ? PICK_RANDOM : PICK_ROUND_ROBIN,
	};
	unsigned service = (unsigned)((reader->picks + reader->misses) % GENERATION_SERVICES);
	struct ip_address vip = ip_of(vips[service]);
	struct found_port found;
	struct picked picked;
	int rc;

	do {
		rc = pick_find(view, &vip, 80, PROTOCOL_TCP, &found) == PICK_ENDPOINT
			     ? pick_take(&found, &state, &vip, 80, &picked)
			     : -ENOENT;
	} while (rc == -EAGAIN);
	if (rc == 0)
		check_pick(reader, &picked.endpoint, found.read.generation, service);
	else
		reader->misses++;
	check_snapshot(reader, view);
}

unsigned generation_count(uint64_t generation)
{
	return count_at(generation, 0);
}

struct ip_address generation_vip(void)
{
	return ip_of(vips[0]);
}
