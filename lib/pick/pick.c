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
		return (uint32_t)(hash_mix(state->seed ^
					   hash_mix((uint64_t)cursor << 32 | ticket)) %
				  count);
	/* The start of the round differs from port to port and from process to process: the hash's
	 * upper half scaled to @count, which costs no division. */
	return (ticket + (uint32_t)((hash_mix(state->seed ^ cursor) >> 32) * count >> 32)) % count;
}

uint32_t pick_index(const struct pick_state *state, const struct table_read *read,
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

enum pick_result pick_find(const struct table_view *view, const struct ip_address *vip,
			   uint16_t port, uint8_t protocol, struct found_port *ret_found)
{
	for (int tries = 0; tries < READ_TRIES; tries++) {
		int rc = table_read_begin(view, &ret_found->read);

		if (rc == -EAGAIN)
			continue;
		if (rc < 0)
			return PICK_NO_TABLE;
		rc = table_find_vip(&ret_found->read, vip, port, protocol, &ret_found->port);
		if (!table_read_valid(&ret_found->read))
			continue;
		if (rc < 0)
			return PICK_NOT_OURS;
		return ret_found->port.endpoint_count ? PICK_ENDPOINT
						      : without_endpoint(&ret_found->port);
	}
	return PICK_NO_TABLE;
}

int pick_take(const struct found_port *found, const struct pick_state *state,
	      const struct ip_address *vip, uint16_t port, struct picked *ret_picked)
{
	uint32_t index = pick_index(state, &found->read, vip, &found->port);
	int rc = table_port_endpoint(&found->read, &found->port, index, &ret_picked->endpoint);

	if (!table_read_valid(&found->read))
		return -EAGAIN;
	if (rc < 0 || ret_picked->endpoint.port == 0)
		return -EBADMSG;
	ret_picked->vip = *vip;
	ret_picked->vip_port = port;
	ret_picked->generation = table_read_generation(&found->read);
	return 0;
}

enum pick_result pick_by_vip(const struct table_view *view, const struct pick_state *state,
			     const struct ip_address *vip, uint16_t port, uint8_t protocol,
			     struct picked *ret_picked)
{
	for (int tries = 0; tries < READ_TRIES; tries++) {
		struct found_port found;
		enum pick_result result = pick_find(view, vip, port, protocol, &found);

		int rc;

		if (result != PICK_ENDPOINT)
			return result;
		rc = pick_take(&found, state, vip, port, ret_picked);
		if (rc == 0)
			return PICK_ENDPOINT;
		if (rc != -EAGAIN)
			return PICK_NO_TABLE;
	}
	return PICK_NO_TABLE;
}
