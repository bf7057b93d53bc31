// SPDX-License-Identifier: Apache-2.0
#include "pick/choose.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"

/*
 * Turns of the round until one is good. Endpoints are sorted by address, so the pods of a lost node
 * may be a longer run than that; then numbers are drawn. Half of the endpoints are good at least,
 * or none is avoided: so many draws miss them with a probability of 2^-64.
 */
#define TURNS 16u
#define DRAWS 64u
/* Looks for any other endpoint no further than this. */
#define SCAN_LONGEST 2048u

/* What a round begins with, which differs from port to port and from seed to seed. */
static uint64_t start_of(uint64_t seed, uint64_t id)
{
	return hash_mix(seed ^ id);
}

/* Where turn number @ticket of the round leads. */
static uint32_t place_of(enum pick_policy policy, uint64_t start, uint32_t ticket, uint32_t count)
{
	if (policy == PICK_RANDOM)
		return (uint32_t)(hash_mix(start + ticket) % count);
	/* The hash's upper half scaled to @count, which costs no division. */
	return (ticket + (uint32_t)((start >> 32) * count >> 32)) % count;
}

uint32_t pick_turn(const struct pick_state *state, uint32_t cursor, uint32_t count)
{
	uint64_t start = start_of(state->seed, (uint64_t)cursor << 32);
	uint32_t ticket = take_ticket_u32(&state->cursors[cursor & (PICK_CURSORS - 1)]);

	return place_of(state->policy, start, ticket, count);
}

/* The next ticket of @key: where the process stands in its round, or where it is to begin one. */
static inline bool take_ticket(const struct pick_state *state, uint64_t key, struct chosen *chosen,
			       uint32_t *ret_ticket)
{
	/* The seed, because a forked child has its parent's rounds and is to begin its own. */
	uint64_t own_key = key ^ hash_mix(state->seed);
	struct cursor_slot *round = NULL;
	bool is_free = false;

	if (state->rounds)
		round = cursor_find(state->rounds, own_key, &is_free);
	if (round && !is_free) {
		*ret_ticket = cursor_next(round);
		return true;
	}
	if (cursor_take(state->hints->cursors, key, ret_ticket))
		chosen->turns++;
	else if (round)
		*ret_ticket = (uint32_t)state->seed;
	else
		return false;
	if (!round)
		return true;
	/* Far from where the number begins anew, which is no multiple of the endpoints. */
	*ret_ticket &= INT32_MAX;
	/* Threads that come at once go round together, from where the first of them begins. */
	if (!cursor_begin(round, own_key, *ret_ticket + 1)) {
		round = cursor_find(state->rounds, own_key, &is_free);
		if (round && !is_free)
			*ret_ticket = cursor_next(round);
	}
	return true;
}

static inline uint32_t next_turn(const struct pick_state *state, uint64_t key,
				 const struct table_port *port, struct chosen *chosen)
{
	struct hints *hints = state->hints;
	uint64_t start;
	uint32_t ticket;

	if (!hints)
		return pick_turn(state, port->cursor, port->endpoint_count);
	/* Before the ticket: no load behind an atomic addition begins before its end. */
	start = start_of(peek_u64(&hints->seed), key);
	if (!take_ticket(state, key, chosen, &ticket))
		return pick_turn(state, port->cursor, port->endpoint_count);
	return place_of(state->policy, start, ticket, port->endpoint_count);
}

/* Any place, whatever the policy. */
static uint32_t draw(const struct pick_state *state, const struct table_port *port)
{
	struct pick_state random = *state;

	random.policy = PICK_RANDOM;
	return pick_turn(&random, port->cursor, port->endpoint_count);
}

/* Of one endpoint alone health is not asked. */
static struct avoidance avoidance_of(const struct pick_state *state, const struct table_port *port,
				     enum standing half_open)
{
	struct avoidance avoid = {
		.rules = &state->rules,
		.now_ms = state->now_ms ? state->now_ms : clock_monotonic_ms(),
		.half_open = half_open,
	};

	if (state->hints && port->endpoint_count > 1 && !health_is_quiet(&state->hints->health))
		avoid.health = &state->hints->health;
	return avoid;
}

static bool has_affinity(const struct pick_state *state, const struct table_port *port)
{
	return port->affinity_timeout_s && state->hints;
}

/* Endpoint @index, unless it is to be passed over. */
static bool try_place(const struct avoidance *avoid, const struct table_read *read,
		      const struct table_port *port, uint32_t index, struct chosen *chosen)
{
	enum standing standing = avoid_look_at(avoid, read, port, index);
	struct table_endpoint endpoint;

	chosen->index = index;
	if (standing == STANDING_HALF_OPEN &&
	    table_port_endpoint(read, port, index, &endpoint) == 0)
		chosen->probe = avoid_claim_probe(avoid, &endpoint);
	return standing == STANDING_GOOD || chosen->probe;
}

/* The place in @chosen, or the next good one of the round. */
static void find_good(const struct pick_state *state, const struct avoidance *avoid,
		      const struct table_read *read, uint64_t key, const struct table_port *port,
		      struct chosen *chosen)
{
	if (try_place(avoid, read, port, chosen->index, chosen) || avoid_panics(avoid, read, port))
		return;
	chosen->avoided = true;
	for (uint32_t i = 0; i < TURNS; i++) {
		if (try_place(avoid, read, port, next_turn(state, key, port, chosen), chosen))
			return;
	}
	for (uint32_t i = 0; i < DRAWS; i++) {
		if (try_place(avoid, read, port, draw(state, port), chosen))
			return;
	}
}

/* Where affinity or health have a say. @chosen: the next turn, unless the port has affinity. Apart
 * from choose_next(), whose usual way then saves no registers for it. */
__attribute__((noinline)) static struct chosen choose_with_care(
	const struct pick_state *state, const struct table_read *read, uint64_t key,
	const struct table_port *port, enum standing half_open, struct chosen chosen)
{
	struct avoidance avoid = avoidance_of(state, port, half_open);

	if (has_affinity(state, port))
		return affinity_choose(state->hints->affinity, state->client, read, key, port,
				       &avoid);
	if (avoid.health)
		find_good(state, &avoid, read, key, port, &chosen);
	return chosen;
}

struct chosen choose_next(const struct pick_state *state, const struct table_read *read,
			  uint64_t key, const struct table_port *port, enum standing half_open)
{
	bool affinity = has_affinity(state, port);
	bool quiet = !state->hints || health_is_quiet(&state->hints->health);
	struct chosen chosen = {0};

	if (!affinity)
		chosen.index = next_turn(state, key, port, &chosen);
	if (!affinity && quiet)
		return chosen;
	return choose_with_care(state, read, key, port, half_open, chosen);
}

uint32_t pick_index(const struct pick_state *state, const struct table_read *read, uint64_t key,
		    const struct table_port *port)
{
	struct chosen chosen = choose_next(state, read, key, port, STANDING_GOOD);

	choose_count(state, &chosen, 0);
	return chosen.index;
}

/* The best standing wins, and of these the first one from @start on. */
static uint32_t scan(const struct avoidance *avoid, const struct table_read *read,
		     const struct table_port *port, uint32_t start)
{
	uint32_t count = port->endpoint_count;
	enum standing best_standing = STANDINGS;
	uint32_t best = start;

	for (uint32_t i = 0; i < count && i < SCAN_LONGEST; i++) {
		uint32_t index = (uint32_t)(((uint64_t)start + i) % count);
		enum standing standing = avoid_look_at(avoid, read, port, index);

		if (standing < best_standing) {
			best_standing = standing;
			best = index;
		}
		if (standing == STANDING_GOOD)
			break;
	}
	return best;
}

struct chosen choose_other(const struct pick_state *state, const struct table_read *read,
			   uint64_t key, const struct table_port *port,
			   const struct table_endpoint *tried, unsigned tried_count)
{
	struct avoidance avoid = avoidance_of(state, port, STANDING_EJECTED);
	struct chosen chosen = {0};

	avoid.tried = tried;
	avoid.tried_count = tried_count < PICK_TRIED ? tried_count : PICK_TRIED;
	if (has_affinity(state, port))
		return affinity_choose(state->hints->affinity, state->client, read, key, port,
				       &avoid);
	for (uint32_t i = 0; i < TURNS + DRAWS; i++) {
		chosen.index = i < TURNS ? next_turn(state, key, port, &chosen) : draw(state, port);
		if (avoid_look_at(&avoid, read, port, chosen.index) == STANDING_GOOD)
			return chosen;
	}
	chosen.index = scan(&avoid, read, port, chosen.index);
	return chosen;
}
