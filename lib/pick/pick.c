// SPDX-License-Identifier: Apache-2.0
#include "pick/pick.h"

#include <errno.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"

/* The writer would have to publish three times within one lookup, this often in a row. */
#define READ_TRIES 64

uint32_t pick_turn(const struct pick_state *state, uint32_t cursor, uint32_t count)
{
	uint32_t ticket = take_ticket_u32(&state->cursors[cursor & (PICK_CURSORS - 1)]);

	if (state->policy == PICK_RANDOM)
		return (uint32_t)(hash_mix(state->seed ^ hash_mix((uint64_t)cursor << 32 | ticket)) %
				  count);
	/* The start of the round differs from port to port and from process to process. */
	return (uint32_t)((ticket + hash_mix(state->seed ^ cursor) % count) % count);
}

static uint32_t choose(const struct pick_state *state, const struct table_read *read,
		       const struct ip_address *vip, const struct table_port *port)
{
	struct affinity_slot *slots;
	uint64_t client;

	if (!port->affinity_timeout_s || !state->affinity)
		return pick_turn(state, port->cursor, port->endpoint_count);
	slots = state->affinity(&client);
	return affinity_choose(slots, client, read, vip, port, clock_monotonic_ms());
}

static enum pick_result without_endpoint(const struct table_port *port)
{
	switch (port->no_endpoint) {
	case TABLE_REFUSE:
		return PICK_REFUSE;
	case TABLE_NO_LOCAL:
		return PICK_UNREACHABLE;
	default:
		return PICK_LEAVE;
	}
}

/* Finds the port in one consistent snapshot; PICK_ENDPOINT means that it has endpoints. */
static enum pick_result find_port(const struct table_view *view, struct table_read *read,
				  const struct ip_address *vip, uint16_t port, uint8_t protocol,
				  struct table_port *ret_port)
{
	for (int tries = 0; tries < READ_TRIES; tries++) {
		int rc = table_read_begin(view, read);

		if (rc == -EAGAIN)
			continue;
		if (rc < 0)
			return PICK_NO_TABLE;
		rc = table_find_vip(read, vip, port, protocol, ret_port);
		if (!table_read_valid(read))
			continue;
		if (rc < 0)
			return PICK_NOT_OURS;
		return ret_port->endpoint_count ? PICK_ENDPOINT : without_endpoint(ret_port);
	}
	return PICK_NO_TABLE;
}

enum pick_result pick_by_vip(const struct table_view *view, const struct pick_state *state,
			     const struct ip_address *vip, uint16_t port, uint8_t protocol,
			     struct picked *ret_picked)
{
	for (int tries = 0; tries < READ_TRIES; tries++) {
		struct table_endpoint endpoint;
		struct table_read read;
		struct table_port found;
		enum pick_result result = find_port(view, &read, vip, port, protocol, &found);
		int rc;

		if (result != PICK_ENDPOINT)
			return result;
		rc = table_port_endpoint(&read, &found, choose(state, &read, vip, &found),
					 &endpoint);
		if (!table_read_valid(&read))
			continue;
		if (rc < 0 || endpoint.port == 0)
			return PICK_NO_TABLE;
		*ret_picked = (struct picked){
			.vip = *vip,
			.vip_port = port,
			.endpoint = endpoint,
			.generation = table_read_generation(&read),
		};
		return PICK_ENDPOINT;
	}
	return PICK_NO_TABLE;
}

enum pick_result pick_peek_vip(const struct table_view *view, const struct ip_address *vip,
			       uint16_t port, uint8_t protocol)
{
	struct table_read read;
	struct table_port found;

	return find_port(view, &read, vip, port, protocol, &found);
}
