// SPDX-License-Identifier: Apache-2.0
#include "pick/pick.h"

#include <errno.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pick/choose.h"

/* The writer would have to publish three times within one lookup, this often in a row. */
#define READ_TRIES 64

enum pick_result pick_find(const struct table_view *view, const struct ip_address *vip,
			   uint16_t port, uint8_t protocol, struct found_port *ret_found)
{
	ret_found->protocol = protocol;
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
		return ret_found->port.endpoint_count ? PICK_ENDPOINT : PICK_NO_ENDPOINT;
	}
	return PICK_NO_TABLE;
}

bool pick_finds_other(const struct found_port *found, const struct ip_address *vip, uint16_t port,
		      uint8_t protocol)
{
	struct table_port other;

	return table_find_vip(&found->read, vip, port, protocol, &other) == 0 ||
	       !table_read_valid(&found->read);
}

/* Copies endpoint @index of what was found. Returns as pick_take(). */
static inline int copy_endpoint(const struct found_port *found, uint32_t index,
				const struct ip_address *vip, uint16_t port,
				struct picked *ret_picked)
{
	int rc = table_port_endpoint(&found->read, &found->port, index, &ret_picked->endpoint);

	if (!table_read_valid(&found->read))
		return -EAGAIN;
	if (rc < 0 || ret_picked->endpoint.port == 0)
		return -EBADMSG;
	ret_picked->vip = *vip;
	ret_picked->vip_port = port;
	ret_picked->protocol = found->protocol;
	ret_picked->affinity_timeout_s = found->port.affinity_timeout_s;
	return 0;
}

static uint64_t now_of(const struct pick_state *state)
{
	return state->now_ms ? state->now_ms : clock_monotonic_ms();
}

uint32_t pick_index(const struct pick_state *state, const struct table_read *read, uint64_t key,
		    const struct table_port *port)
{
	return choose_next(state, read, key, port, STANDING_GOOD);
}

/* This client of a port with affinity has left for the VIP; its time there begins anew. */
__attribute__((noinline)) static bool stays_at_vip(const struct pick_state *state, uint64_t key,
						   uint32_t timeout_s)
{
	uint64_t now_ms = now_of(state);

	if (!affinity_has_left(state->memory->affinity, key, now_ms, timeout_s))
		return false;
	affinity_leave(state->memory->affinity, key, now_ms, timeout_s);
	return true;
}

int pick_take(const struct found_port *found, const struct pick_state *state,
	      const struct ip_address *vip, uint16_t port, struct picked *ret_picked)
{
	uint64_t key = cursor_key_of_vip(vip, port, found->protocol);
	uint32_t index;

	if (found->port.affinity_timeout_s &&
	    stays_at_vip(state, key, found->port.affinity_timeout_s))
		return -ENOENT;
	index = choose_next(state, &found->read, key, &found->port, STANDING_HALF_OPEN);
	return copy_endpoint(found, index, vip, port, ret_picked);
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
		if (rc == -ENOENT)
			return PICK_NO_ENDPOINT;
		if (rc != -EAGAIN)
			return PICK_NO_TABLE;
	}
	return PICK_NO_TABLE;
}

enum pick_result pick_other(const struct table_view *view, const struct pick_state *state,
			    const struct ip_address *vip, uint16_t port, uint8_t protocol,
			    const struct table_endpoint *tried, unsigned tried_count,
			    struct picked *ret_picked)
{
	uint64_t key = cursor_key_of_vip(vip, port, protocol);

	for (int tries = 0; tries < READ_TRIES; tries++) {
		struct found_port found;
		enum pick_result result = pick_find(view, vip, port, protocol, &found);
		uint32_t index;
		int rc;

		if (result != PICK_ENDPOINT)
			return result;
		index = choose_other(state, &found.read, key, &found.port, tried, tried_count);
		rc = copy_endpoint(&found, index, vip, port, ret_picked);
		if (rc == -EAGAIN)
			continue;
		if (rc < 0)
			return PICK_NO_TABLE;
		if (avoid_was_tried(tried, tried_count, &ret_picked->endpoint))
			return PICK_EXHAUSTED;
		pick_memory_count(state->memory, PICK_COUNT_FAILOVERS);
		return PICK_ENDPOINT;
	}
	return PICK_NO_TABLE;
}

/* No endpoint is twice in a list: of one more than may be known, one is new. */
bool pick_finds_untried(const struct found_port *found, const struct table_endpoint *current,
			const struct table_endpoint *tried, unsigned tried_count)
{
	for (uint32_t i = 0; i < found->port.endpoint_count && i < tried_count + 2; i++) {
		struct table_endpoint endpoint;

		if (table_port_endpoint(&found->read, &found->port, i, &endpoint) == 0 &&
		    table_read_valid(&found->read) && !avoid_was_tried(current, 1, &endpoint) &&
		    !avoid_was_tried(tried, tried_count, &endpoint))
			return true;
	}
	return false;
}

void pick_failed(const struct pick_state *state, const struct table_endpoint *endpoint)
{
	if (health_failure(&state->memory->health, &state->rules, health_key(endpoint),
			   now_of(state), random_u64()))
		pick_memory_count(state->memory, PICK_COUNT_EJECTIONS);
}

void pick_suspected(const struct pick_state *state, const struct table_endpoint *endpoint)
{
	if (health_suspect(&state->memory->health, &state->rules, health_key(endpoint),
			   now_of(state), random_u64()))
		pick_memory_count(state->memory, PICK_COUNT_EJECTIONS);
}

bool pick_is_quiet(const struct pick_state *state)
{
	return health_is_quiet(&state->memory->health);
}

void pick_succeeded(const struct pick_state *state, const struct table_endpoint *endpoint)
{
	if (!pick_is_quiet(state))
		health_success(&state->memory->health, health_key(endpoint));
}

static uint64_t key_of(const struct picked *picked)
{
	return cursor_key_of_vip(&picked->vip, picked->vip_port, picked->protocol);
}

void pick_served(const struct pick_state *state, const struct picked *picked)
{
	if (picked->affinity_timeout_s)
		affinity_served(state->memory->affinity, key_of(picked), now_of(state),
				picked->affinity_timeout_s);
	pick_succeeded(state, &picked->endpoint);
}

bool pick_may_leave(const struct pick_state *state, const struct picked *picked)
{
	return !picked->affinity_timeout_s ||
	       !affinity_has_served(state->memory->affinity, key_of(picked), now_of(state),
				    picked->affinity_timeout_s);
}

void pick_left(const struct pick_state *state, const struct picked *picked)
{
	if (picked->affinity_timeout_s)
		affinity_leave(state->memory->affinity, key_of(picked), now_of(state),
			       picked->affinity_timeout_s);
	pick_memory_count(state->memory, PICK_COUNT_LEFT);
}

void pick_gave_up(const struct pick_state *state)
{
	pick_memory_count(state->memory, PICK_COUNT_ALL_FAILED);
}
