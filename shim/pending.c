// SPDX-License-Identifier: Apache-2.0
#include "pending.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "patience.h"
#include "peer_cache.h"
#include "state.h"
#include "tcp_outcome.h"

#define SLOTS	      64u /* the bits of a word */
#define LOOKS_AT_ONCE 4u

struct entry {
	uint64_t cookie; /* 0: none */
	uint64_t began_ms;
	struct picked picked;
	int32_t fd;
	uint32_t reported; /* as failed. Kept, because the next connect() on this socket tells this
			      failure, and not that of the address it was given. */
};

struct slot {
	uint32_t sequence; /* odd while the slot is written */
	uint32_t reserved;
	struct entry entry;
};

_Static_assert(sizeof(struct entry) % 8 == 0, "copied word by word");

static struct slot slots[SLOTS];
static uint64_t filled; /* a bit for each slot in use: where to look, no more */
static uint32_t turn;	/* the place where the next look begins */

enum outcome {
	OUTCOME_NONE, /* not yet */
	OUTCOME_CONNECTED,
	OUTCOME_FAILED,
	OUTCOME_UNKNOWN, /* and nobody will ever know */
};

static void mark(unsigned place, bool used)
{
	uint64_t bit = (uint64_t)1 << place;
	uint64_t old;

	do {
		old = peek_u64(&filled);
	} while (!claim_u64(&filled, old, used ? old | bit : old & ~bit));
}

/* Copies the entry; false when it is being written. @ret_sequence: for replace(). */
static bool read_slot(unsigned place, struct entry *ret_entry, uint32_t *ret_sequence)
{
	struct slot *slot = &slots[place];

	*ret_sequence = observe_u32(&slot->sequence); /* publish in replace() */
	if (*ret_sequence % 2)
		return false;
	peek_words(ret_entry, &slot->entry, sizeof(*ret_entry));
	fence_before_recheck();
	return peek_u32(&slot->sequence) == *ret_sequence;
}

/* Unless somebody changed the slot since @sequence. A slot that a fork() caught being written stays
 * odd in the child, which has one less then. */
static bool replace(unsigned place, uint32_t sequence, const struct entry *entry)
{
	struct slot *slot = &slots[place];

	if (sequence % 2 || !claim_u32(&slot->sequence, sequence, sequence + 1))
		return false;
	fence_before_rewrite();
	poke_words(&slot->entry, entry, sizeof(*entry));
	publish_u32(&slot->sequence, sequence + 2); /* observed in read_slot() */
	mark(place, entry->cookie != 0);
	return true;
}

static bool forget(unsigned place, uint32_t sequence)
{
	static const struct entry none;

	return replace(place, sequence, &none);
}

bool pending_any(void)
{
	return peek_u64(&filled) != 0;
}

/* The place of this socket's entry, or SLOTS. */
static unsigned find(uint64_t cookie, struct entry *ret_entry, uint32_t *ret_sequence)
{
	for (uint64_t left = peek_u64(&filled); left; left &= left - 1) {
		unsigned place = (unsigned)__builtin_ctzll(left);

		if (read_slot(place, ret_entry, ret_sequence) && ret_entry->cookie == cookie)
			return place;
	}
	return SLOTS;
}

/* A free place, or one whose entry has done most of its work. Young ones stay: they are the ones
 * that may turn out to be dead. */
static unsigned find_room(uint32_t *ret_sequence)
{
	uint64_t used = peek_u64(&filled);
	struct entry entry;

	for (uint64_t left = ~used; left; left &= left - 1) {
		unsigned place = (unsigned)__builtin_ctzll(left);

		if (read_slot(place, &entry, ret_sequence))
			return place;
	}
	for (unsigned place = 0; place < SLOTS; place++) {
		if (read_slot(place, &entry, ret_sequence) && entry.reported)
			return place;
	}
	return SLOTS;
}

void pending_add(int fd, uint64_t cookie, const struct picked *picked)
{
	struct entry entry;
	uint32_t sequence;
	unsigned place;

	/* The program took the socket back by connect(AF_UNSPEC): its former try is void. */
	place = find(cookie, &entry, &sequence);
	if (place == SLOTS)
		place = find_room(&sequence);
	if (place == SLOTS)
		return;
	entry = (struct entry){
		.cookie = cookie,
		.began_ms = clock_monotonic_ms(),
		.picked = *picked,
		.fd = fd,
	};
	replace(place, sequence, &entry);
}

bool pending_settle(const struct pick_state *state, uint64_t cookie, bool connected)
{
	struct entry entry;
	uint32_t sequence;
	unsigned place = find(cookie, &entry, &sequence);

	if (place == SLOTS || !forget(place, sequence))
		return false;
	if (connected)
		pick_served(state, &entry.picked);
	else if (!entry.reported)
		pick_failed(state, &entry.picked.endpoint);
	return true;
}

void pending_forget(uint64_t cookie)
{
	struct entry entry;
	uint32_t sequence;
	unsigned place = find(cookie, &entry, &sequence);

	if (place != SLOTS)
		forget(place, sequence);
}

/*
 * A closed socket has failed, unless its SYN was acknowledged: then it was connected, and reset
 * later. One that the program disconnected itself has sent nothing.
 */
static enum outcome outcome_of(const struct entry *entry)
{
	struct tcp_outcome info;

	if (peer_cookie(entry->fd) != entry->cookie || !tcp_outcome_read(entry->fd, &info))
		return OUTCOME_UNKNOWN;
	switch (info.state) {
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return OUTCOME_NONE;
	case TCP_LISTEN:
		return OUTCOME_UNKNOWN;
	case TCP_CLOSE:
		if (info.segs_out == 0)
			return OUTCOME_UNKNOWN;
		return info.bytes_acked ? OUTCOME_CONNECTED : OUTCOME_FAILED;
	default:
		return OUTCOME_CONNECTED;
	}
}

static void look_at(unsigned place, const struct pick_state *state, uint64_t now_ms)
{
	struct entry entry;
	uint32_t sequence;
	enum outcome outcome;

	if (!read_slot(place, &entry, &sequence))
		return;
	if (!entry.cookie) {
		mark(place, false); /* two threads marked it in the wrong order */
		return;
	}
	outcome = outcome_of(&entry);
	/* Begun after @now_ms, perhaps, by another thread. */
	if (outcome == OUTCOME_NONE && entry.began_ms + patience_longest_ms() < now_ms)
		outcome = OUTCOME_FAILED;
	switch (outcome) {
	case OUTCOME_NONE:
		break;
	case OUTCOME_FAILED:
		if (entry.reported)
			break;
		entry.reported = 1;
		if (replace(place, sequence, &entry))
			pick_failed(state, &entry.picked.endpoint);
		break;
	case OUTCOME_CONNECTED:
		if (forget(place, sequence))
			pick_served(state, &entry.picked);
		break;
	case OUTCOME_UNKNOWN:
		forget(place, sequence);
		break;
	}
}

void pending_look(const struct pick_state *state)
{
	KEEP_ERRNO();
	uint64_t left = peek_u64(&filled);
	uint64_t now_ms = clock_monotonic_ms();
	uint32_t start = peek_u32(&turn) % SLOTS;

	/* The bits from @start on come first. */
	left = start ? left >> start | left << (SLOTS - start) : left;
	for (unsigned looks = 0; left && looks < LOOKS_AT_ONCE; looks++, left &= left - 1) {
		unsigned place = ((unsigned)__builtin_ctzll(left) + start) % SLOTS;

		look_at(place, state, now_ms);
		poke_u32(&turn, place + 1);
	}
}
