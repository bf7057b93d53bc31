// SPDX-License-Identifier: Apache-2.0
/* These are many lines, because all that knows the slots is here: claims, bits, and when they are
 * due. */
#include "pending.h"

#include <linux/futex.h>
#include <string.h>
#include <time.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "base/undisturbed.h"
#include "claim.h"
#include "events.h"
#include "patience.h"
#include "peer_cache.h"
#include "process.h"
#include "state.h"
#include "tcp_outcome.h"

#define SLOTS	      PENDING_SLOTS
#define WORDS	      PENDING_WORDS
#define LOOKS_AT_ONCE 4u
#define AWAIT_NS      200000
#define HOLDER_OPEN   1u

struct slot {
	struct claim claim;
	/* own_token() of who has claimed it. With HOLDER_OPEN: for a look or to be filled, with
	 * signals open, because these come with each non-blocking connect() and are to cost no
	 * system call. Whoever has it so may be gone for good, and has done nothing to its socket. */
	uint32_t holder;
	struct pending entry;
};

/* Places are taken from the first one on, so pages of these that nothing needs are never touched. */
static struct slot slots[SLOTS];

struct pending_bits pending_bits __attribute__((aligned(64)));

static uint32_t turn;	   /* the place where the next look begins */

enum outcome {
	OUTCOME_NONE, /* not yet */
	OUTCOME_CONNECTED,
	OUTCOME_FAILED,
	OUTCOME_UNKNOWN, /* and nobody will ever know */
};

static void mark(uint64_t *words, unsigned place, bool set)
{
	uint64_t *word = &words[place / 64];
	uint64_t bit = (uint64_t)1 << place % 64;
	uint64_t old;

	do {
		old = peek_u64(word);
	} while (!claim_u64(word, old, set ? old | bit : old & ~bit));
}

/* The first place from @from on whose bit is set, or SLOTS. */
static unsigned next_place(const uint64_t *words, unsigned from)
{
	while (from < SLOTS) {
		uint64_t left = peek_u64(&words[from / 64]) >> from % 64;

		if (left)
			return from + (unsigned)__builtin_ctzll(left);
		from = (from / 64 + 1) * 64;
	}
	return SLOTS;
}

static bool is_watched(unsigned place)
{
	return peek_u64(&pending_bits.watched[place / 64]) >> place % 64 & 1;
}

static unsigned place_of(const struct pending_hold *hold)
{
	const char *entry = (const char *)hold->entry;
	const char *first = (const char *)&slots[0].entry;

	return (unsigned)((size_t)(entry - first) / sizeof(struct slot));
}

static uint32_t own_pid(void)
{
	return peek_u32(&process_current()->pid);
}

/* For entries that others peek at meanwhile. */
static void poke_number(struct pending *entry, int fd)
{
	poke_u32((uint32_t *)&entry->fd, (uint32_t)fd);
}

static int peek_number(const struct pending *entry)
{
	return (int)peek_u32((const uint32_t *)&entry->fd);
}

static void empty(struct pending *entry, unsigned place)
{
	mark(pending_bits.watched, place, false);
	mark(pending_bits.filled, place, false);
	poke_u64(&entry->cookie, 0);
	poke_u64(&entry->revived_ms, 0);
	poke_number(entry, -1);
}

/*
 * Claims a place. What a fork() caught in the hands of a thread that the
 * child has not may be torn: it is forgotten; so is what a handler left for good, by siglongjmp(3),
 * where signals were open.
 */
static bool take(unsigned place, struct pending_hold *hold)
{
	struct claim *claim = &slots[place].claim;
	uint64_t now_ms = clock_coarse_ms();
	uint64_t before = peek_u64(&claim->word);
	uint32_t pid = own_pid();

	hold->entry = &slots[place].entry;
	if (claim_stands(before, pid, now_ms, PENDING_LONGEST_MS))
		return false;
	if (before && claim_pid(before) == pid && events_are_filtered() &&
	    !(peek_u32(&slots[place].holder) & HOLDER_OPEN)) {
		events_off(EVENTS_CLAIM_IS_LATE);
		return false;
	}
	hold->word = claim_take(claim, pid, now_ms, PENDING_LONGEST_MS);
	if (!hold->word)
		return false;
	if (before)
		empty(hold->entry, place);
	return true;
}

static void give_back(const struct pending_hold *hold)
{
	claim_give_back(&slots[place_of(hold)].claim, hold->word);
}

/* Tells the calling thread from others that live. */
static uint32_t own_token(void)
{
	static __thread char own;

	return (uint32_t)((uintptr_t)&own >> 3) & ~HOLDER_OPEN;
}

static bool take_open(unsigned place, struct pending_hold *hold)
{
	hold->is_undisturbed = false;
	if (!take(place, hold))
		return false;
	poke_u32(&slots[place].holder, own_token() | HOLDER_OPEN);
	return true;
}

/* The kernel has 64 signals; what else is in libc's set is room. noinline: nothing else has such a
 * set beside it. */
__attribute__((noinline)) static void disturb_not(struct pending_hold *hold)
{
	struct undisturbed before;

	undisturbed_begin(&before);
	hold->cancellation = before.cancellation;
	memcpy(&hold->signals, &before.signals, sizeof(hold->signals));
}

__attribute__((noinline)) static void disturb_again(const struct pending_hold *hold)
{
	struct undisturbed before = {.cancellation = hold->cancellation};

	memcpy(&before.signals, &hold->signals, sizeof(hold->signals));
	undisturbed_end(&before);
}

static bool take_undisturbed(unsigned place, struct pending_hold *hold)
{
	disturb_not(hold);
	hold->is_undisturbed = true;
	if (take(place, hold)) {
		poke_u32(&slots[place].holder, own_token());
		return true;
	}
	disturb_again(hold);
	return false;
}

void pending_release(struct pending_hold *hold)
{
	KEEP_ERRNO();

	poke_u32(&slots[place_of(hold)].holder, 0);
	give_back(hold);
	if (hold->is_undisturbed)
		disturb_again(hold);
}

void pending_clear(struct pending_hold *hold)
{
	empty(hold->entry, place_of(hold));
}

void pending_unwatch(struct pending_hold *hold)
{
	mark(pending_bits.watched, place_of(hold), false);
}

void pending_unwatch_all(void)
{
	for (unsigned i = 0; i < WORDS; i++)
		poke_u64(&pending_bits.watched[i], 0);
}

/* --- when something is due ------------------------------------------------------------------- */

void pending_set_due(struct pending_hold *hold, uint64_t due_ms)
{
	poke_u64(&hold->entry->due_ms, due_ms);
}

/* A child of vfork(2) has its parent's memory, and not its descriptors. */
static bool is_in_vfork(void)
{
	return (uint32_t)raw_syscall(SYS_getpid) != process_adopter();
}

bool pending_peek_next(unsigned *place, struct pending_peek *ret_peek)
{
	*place = next_place(pending_bits.watched, *place);
	if (*place >= SLOTS)
		return false;
	ret_peek->place = *place;
	ret_peek->fd = peek_number(&slots[*place].entry);
	ret_peek->due_ms = peek_u64(&slots[*place].entry.due_ms);
	++*place;
	return true;
}

bool pending_is_due(void)
{
	uint64_t now_ms = clock_coarse_ms();
	struct pending_peek one;

	for (unsigned place = 0; pending_peek_next(&place, &one);) {
		if (one.due_ms <= now_ms)
			return true;
	}
	return false;
}

bool pending_claim_peeked(const struct pending_peek *peek, struct pending_hold *ret_hold)
{
	const struct pending *entry = &slots[peek->place].entry;
	uint32_t pid = own_pid();

	if (is_in_vfork() || !take_undisturbed(peek->place, ret_hold))
		return false;
	if (entry->cookie && entry->pid == pid && entry->fd == peek->fd)
		return true;
	if (!entry->cookie || entry->pid != pid)
		pending_unwatch(ret_hold);
	pending_release(ret_hold);
	return false;
}

/* --- which one ------------------------------------------------------------------------------- */

uint64_t pending_cookie_of(int fd)
{
	for (unsigned place = 0; (place = next_place(pending_bits.watched, place)) < SLOTS; place++) {
		if (peek_number(&slots[place].entry) == fd)
			return peek_u64(&slots[place].entry.cookie);
	}
	return 0;
}

bool pending_has(int fd)
{
	return pending_cookie_of(fd) != 0;
}

/* The claim that stands in the way is this very thread's: below a handler, or a library behind us
 * closes numbers in its connect(). */
static bool is_own_claim(int fd)
{
	for (unsigned place = 0; (place = next_place(pending_bits.watched, place)) < SLOTS; place++) {
		uint32_t holder = peek_u32(&slots[place].holder);

		if (holder && peek_number(&slots[place].entry) == fd &&
		    (holder & ~HOLDER_OPEN) == own_token())
			return true;
	}
	return false;
}

enum pending_claim pending_claim(int fd, struct pending_hold *ret_hold)
{
	KEEP_ERRNO();
	unsigned place = next_place(pending_bits.watched, 0);

	if (is_in_vfork())
		return PENDING_NONE;
	for (; place < SLOTS; place = next_place(pending_bits.watched, place + 1)) {
		struct pending *entry = &slots[place].entry;

		if (peek_number(entry) != fd || peek_u32(&entry->pid) != own_pid())
			continue;
		if (!take_undisturbed(place, ret_hold))
			return pending_watched() ? PENDING_BUSY : PENDING_NONE;
		if (entry->cookie && entry->fd == fd && entry->pid == own_pid()) {
			if (peer_cookie(fd) == entry->cookie)
				return PENDING_CLAIMED;
			pending_clear(ret_hold);
		}
		pending_release(ret_hold);
	}
	return PENDING_NONE;
}

enum pending_claim pending_claim_wait(int fd, uint32_t longest_ms, struct pending_hold *ret_hold)
{
	KEEP_ERRNO();
	enum pending_claim result = pending_claim(fd, ret_hold);
	/* Not by the clock: under a limit of CPU time all threads stand still for most of it. */
	uint32_t rounds = longest_ms * (1000000 / AWAIT_NS);

	if (result != PENDING_BUSY || is_own_claim(fd))
		return result;
	do {
		/* Not nanosleep(), a cancellation point. */
		const struct timespec pause = {.tv_nsec = AWAIT_NS};
		uint32_t never = 0;

		raw_syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &pause, NULL, 0);
		result = pending_claim(fd, ret_hold);
	} while (result == PENDING_BUSY && --rounds);
	return result;
}

bool pending_is_held(const struct pending_hold *hold)
{
	const struct claim *claim = &slots[place_of(hold)].claim;

	return peek_u64(&claim->word) == hold->word &&
	       clock_coarse_ms() + PENDING_AWAIT_MS < claim_end(hold->word);
}

unsigned pending_numbers(unsigned *place, int *ret_fds, unsigned most)
{
	uint32_t pid = own_pid();
	unsigned count = 0;

	for (; count < most && (*place = next_place(pending_bits.watched, *place)) < SLOTS; ++*place) {
		const struct pending *entry = &slots[*place].entry;

		if (peek_u32(&entry->pid) != pid)
			continue;
		ret_fds[count++] = peek_number(entry);
	}
	return count;
}

/* The place of this socket's entry, claimed, or SLOTS. */
static unsigned take_by_cookie(uint64_t cookie, struct pending_hold *hold)
{
	unsigned place = next_place(pending_bits.filled, 0);

	for (; cookie && place < SLOTS; place = next_place(pending_bits.filled, place + 1)) {
		if (peek_u64(&slots[place].entry.cookie) != cookie || !take_open(place, hold))
			continue;
		if (hold->entry->cookie == cookie)
			return place;
		pending_release(hold);
	}
	return SLOTS;
}

/* --- what becomes of them -------------------------------------------------------------------- */

/* A free place, claimed, or one whose entry has done most of its work. Young ones stay: they are
 * the ones that may turn out to be dead. */
static bool take_room(struct pending_hold *hold)
{
	for (unsigned place = 0; place < SLOTS; place++) {
		if (peek_u64(&slots[place].entry.cookie) || !take_open(place, hold))
			continue;
		if (!hold->entry->cookie)
			return true;
		pending_release(hold);
	}
	for (unsigned place = 0; place < SLOTS; place++) {
		if (!take_open(place, hold))
			continue;
		if (hold->entry->reported && !is_watched(place))
			return true;
		pending_release(hold);
	}
	return false;
}

static void fill(struct pending_hold *hold, const struct dial *dial, uint64_t cookie,
		 const struct way_on *way)
{
	struct pending *entry = hold->entry;
	unsigned place = place_of(hold);
	bool watched = way && dial->length <= sizeof(entry->address) && events_are_filtered();

	empty(entry, place);
	entry->began_ms = clock_coarse_ms();
	entry->picked = dial->picked;
	entry->reported = false;
	entry->served = false;
	entry->owed = 0;
	entry->is_last = false;
	entry->way.at_vip = false;
	poke_u32(&entry->pid, own_pid());
	poke_number(entry, dial->fd);
	if (watched) {
		entry->length = dial->length;
		memcpy(&entry->address, &dial->address, dial->length);
		way_copy(&entry->way, way);
		poke_u64(&entry->due_ms, entry->began_ms + way->limit_ms);
	}
	poke_u64(&entry->cookie, cookie);
	mark(pending_bits.filled, place, true);
	if (watched) {
		poke_u32(&pending_bits.ever, 1);
		mark(pending_bits.watched, place, true);
		fence_before_look(); /* at what events_off() said */
		if (!events_are_filtered())
			mark(pending_bits.watched, place, false);
	}
}

void pending_add(const struct dial *dial, uint64_t cookie, const struct way_on *way)
{
	KEEP_ERRNO();
	struct pending_hold hold;

	/* The program took the socket back by connect(AF_UNSPEC): its former try is void. */
	if (take_by_cookie(cookie, &hold) == SLOTS && !take_room(&hold))
		return;
	fill(&hold, dial, cookie, way);
	pending_release(&hold);
}

void pending_conclude(struct pending_hold *hold)
{
	struct pending *entry = hold->entry;

	if (!entry->revived_ms || !is_watched(place_of(hold))) {
		pending_clear(hold);
		return;
	}
	entry->served = entry->is_last = true;
	pending_set_due(hold, entry->revived_ms + PENDING_STALE_MS);
}

bool pending_settle(const struct pick_state *state, uint64_t cookie, bool connected)
{
	KEEP_ERRNO();
	struct pending_hold hold;
	struct picked picked;
	bool reported;

	if (take_by_cookie(cookie, &hold) == SLOTS)
		return false;
	picked = hold.entry->picked;
	reported = connected ? hold.entry->served : hold.entry->reported;
	if (connected)
		pending_conclude(&hold);
	else
		pending_clear(&hold);
	pending_release(&hold);
	if (reported)
		return true;
	if (connected)
		pick_served(state, &picked);
	else
		pick_failed(state, &picked.endpoint);
	return true;
}

void pending_forget(uint64_t cookie)
{
	KEEP_ERRNO();
	struct pending_hold hold;

	if (take_by_cookie(cookie, &hold) == SLOTS)
		return;
	pending_clear(&hold);
	pending_release(&hold);
}

/*
 * A closed socket has failed, unless its SYN was acknowledged: then it was connected, and reset
 * later. One that the program disconnected itself has sent nothing.
 */
static enum outcome outcome_of(const struct pending *entry)
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
	case TCP_ESTABLISHED:
		patience_learn(info.rtt_us / 1000);
		return OUTCOME_CONNECTED;
	case TCP_CLOSE:
		if (info.segs_out == 0)
			return OUTCOME_UNKNOWN;
		return info.bytes_acked ? OUTCOME_CONNECTED : OUTCOME_FAILED;
	default:
		return OUTCOME_CONNECTED;
	}
}

static void look_at(struct pending_hold *hold, const struct pick_state *state, uint64_t now_ms)
{
	struct pending *entry = hold->entry;
	enum outcome outcome;

	/* What the program's own address came to is nobody's; an errno that is owed is kept. */
	if (!entry->cookie || entry->way.at_vip || entry->owed)
		return;
	outcome = outcome_of(entry);
	/* Begun after @now_ms, perhaps, by another thread. */
	if (outcome == OUTCOME_NONE && entry->began_ms + patience_longest_ms() < now_ms)
		outcome = OUTCOME_FAILED;
	switch (outcome) {
	case OUTCOME_NONE:
		break;
	case OUTCOME_FAILED:
		if (!entry->reported)
			pick_failed(state, &entry->picked.endpoint);
		entry->reported = true;
		break;
	case OUTCOME_CONNECTED:
		if (!entry->served)
			pick_served(state, &entry->picked);
		pending_conclude(hold);
		break;
	case OUTCOME_UNKNOWN:
		pending_clear(hold);
		break;
	}
}

void pending_look(const struct pick_state *state)
{
	KEEP_ERRNO();
	uint64_t now_ms = clock_coarse_ms();
	unsigned start = peek_u32(&turn) % SLOTS;
	unsigned place = start;
	unsigned looks = 0;
	bool wrapped = false;

	while (looks < LOOKS_AT_ONCE) {
		struct pending_hold hold;

		place = next_place(pending_bits.filled, place);
		if (place == SLOTS || (wrapped && place >= start)) {
			if (wrapped || !start)
				break;
			wrapped = true;
			place = 0;
			continue;
		}
		looks++;
		if (take_open(place, &hold)) {
			look_at(&hold, state, now_ms);
			pending_release(&hold);
		}
		poke_u32(&turn, ++place);
	}
}
