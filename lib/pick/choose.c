// SPDX-License-Identifier: Apache-2.0
#include "pick/choose.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"
#include "pick/probed.h"

/*
 * Turns of the round until one is good. Endpoints are sorted by address, so the pods of a lost node
 * may be a longer run than that; then numbers are drawn. Half of the endpoints are good at least,
 * or none is avoided: so many draws miss them with a probability of 2^-64.
 */
#define TURNS 16u
#define DRAWS 64u
/* Looks for any other endpoint no further than this. */
#define SCAN_LONGEST 2048u

/* Where turn number @ticket of the round leads. */
static uint32_t place_of(enum pick_policy policy, uint64_t start, uint32_t ticket, uint32_t count)
{
	if (policy == PICK_RANDOM)
		return (uint32_t)(hash_mix(start + ticket) % count);
	/* The hash's upper half scaled to @count, which costs no division. */
	return (ticket + (uint32_t)((start >> 32) * count >> 32)) % count;
}

/* Any number. Not the kernel's, which is a system call. */
static uint32_t draw(const struct pick_state *state)
{
	uint64_t drawn = take_tickets_u64(&state->memory->counters[PICK_COUNT_DRAWS], 1);

	return (uint32_t)hash_mix(peek_u64(&state->memory->seed) + drawn);
}

/* The next ticket of @key: where the process stands in its round, or where it is to begin one. */
static inline uint32_t take_ticket(const struct pick_state *state, uint64_t key)
{
	/* The seed, because a forked child has its parent's rounds and is to begin its own. */
	uint64_t own_key = key ^ hash_mix(state->seed);
	struct cursor_slot *round = NULL;
	bool is_free = false;
	uint32_t ticket;

	if (state->rounds)
		round = cursor_find(state->rounds, own_key, &is_free);
	if (round && !is_free)
		return cursor_next(round);
	/* All its slots are other ports', whose rounds a turn of ours would break. */
	if (!cursor_take(state->memory->cursors, key, &ticket))
		ticket = draw(state);
	if (!round)
		return ticket;
	/* Far from where the number begins anew, which is no multiple of the endpoints. */
	ticket &= INT32_MAX;
	if (cursor_begin(round, own_key, ticket + 1))
		return ticket;
	/* Threads that come at once go round together, from where the first of them begins. */
	round = cursor_find(state->rounds, own_key, &is_free);
	return round && !is_free ? cursor_next(round) : ticket;
}

static inline uint32_t next_turn(const struct pick_state *state, uint64_t key,
				 const struct table_port *port)
{
	/* Where the port's round begins. Before the ticket: no load behind an atomic addition
	 * begins before its end. */
	uint64_t start = hash_mix(peek_u64(&state->memory->seed) ^ key);

	return place_of(state->policy, start, take_ticket(state, key), port->endpoint_count);
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

	if (port->endpoint_count > 1 && !health_is_quiet(&state->memory->health)) {
		avoid.health = &state->memory->health;
		avoid.is_probed = probed_by(state->memory, state->prober, avoid.now_ms);
	}
	return avoid;
}

/* Endpoint @index is not to be passed over. */
static bool is_good(const struct avoidance *avoid, const struct table_read *read,
		    const struct table_port *port, uint32_t index)
{
	struct table_endpoint endpoint;
	enum standing standing;

	if (table_port_endpoint(read, port, index, &endpoint) < 0)
		return true; /* the caller finds the snapshot invalid */
	standing = avoid_look(avoid, &endpoint);
	if (standing == STANDING_EJECTED)
		avoid_want(avoid, &endpoint);
	return standing == STANDING_GOOD ||
	       (standing == STANDING_HALF_OPEN && avoid_claim_probe(avoid, &endpoint));
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

/* The first good one of the next turns, else of some draws, else of all. */
static uint32_t find_good(const struct pick_state *state, const struct avoidance *avoid,
			  const struct table_read *read, uint64_t key,
			  const struct table_port *port)
{
	uint32_t index = 0;

	for (uint32_t i = 0; i < TURNS + DRAWS; i++) {
		index = i < TURNS ? next_turn(state, key, port)
				  : draw(state) % port->endpoint_count;
		if (is_good(avoid, read, port, index))
			return index;
	}
	return scan(avoid, read, port, index);
}

/* Where affinity or health have a say. @turn: the next one, unless the port has affinity. Apart
 * from choose_next(), whose usual way then saves no registers for it. */
__attribute__((noinline)) static uint32_t choose_with_care(const struct pick_state *state,
							   const struct table_read *read,
							   uint64_t key,
							   const struct table_port *port,
							   enum standing half_open, uint32_t turn)
{
	struct avoidance avoid = avoidance_of(state, port, half_open);

	if (port->affinity_timeout_s)
		return affinity_choose(state->memory->affinity, state->client, read, key, port,
				       &avoid);
	if (!avoid.health || is_good(&avoid, read, port, turn) || avoid_panics(&avoid, read, port))
		return turn;
	return find_good(state, &avoid, read, key, port);
}

uint32_t choose_next(const struct pick_state *state, const struct table_read *read, uint64_t key,
		     const struct table_port *port, enum standing half_open)
{
	uint32_t turn = port->affinity_timeout_s ? 0 : next_turn(state, key, port);

	if (!port->affinity_timeout_s && health_is_quiet(&state->memory->health))
		return turn;
	return choose_with_care(state, read, key, port, half_open, turn);
}

uint32_t choose_other(const struct pick_state *state, const struct table_read *read, uint64_t key,
		      const struct table_port *port, const struct table_endpoint *tried,
		      unsigned tried_count)
{
	struct avoidance avoid = avoidance_of(state, port, STANDING_EJECTED);

	avoid.tried = tried;
	avoid.tried_count = tried_count < PICK_TRIED ? tried_count : PICK_TRIED;
	if (port->affinity_timeout_s)
		return affinity_choose(state->memory->affinity, state->client, read, key, port,
				       &avoid);
	return find_good(state, &avoid, read, key, port);
}
