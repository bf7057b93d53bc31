// SPDX-License-Identifier: Apache-2.0
#include "engine/watchdog_slots.h"

#include <linux/futex.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"

#define PLACES	   4u /* where a number may be */
#define PLACE_STEP 17u
#define WAIT_NS	   10000000
/* A machine that gives the thread no processor. */
#define LONGEST_WAIT_MS 2000u

/*
 * In use by the same number is one whose connect() has lost its socket, because another thread
 * closed or replaced it, or whose thread has left the hook for good: it is taken over, and who
 * comes for it sees that nothing was done. So no number is armed twice, and a try that is due never
 * ends the next one's.
 */
static bool may_take(const struct slot *slot, uint32_t word, int fd)
{
	enum slot_state state = slot_state(word);

	return state == SLOT_FREE || ((state == SLOT_ARMED || state == SLOT_FIRED) &&
				      peek_u32(&slot->fd) == (uint32_t)fd);
}

struct slot *slot_take(struct watchdog *dog, int fd, uint32_t *ret_word)
{
	for (unsigned i = 0; i < PLACES; i++) {
		struct slot *slot = &dog->slots[((uint32_t)fd + i * PLACE_STEP) % SLOTS];
		uint32_t word = slot_observe(slot);
		uint32_t next = slot_word(word, SLOT_TAKEN) + (1u << SLOT_STATE_BITS);

		/* A number of 0 is that of a slot which fork() has emptied. */
		if (next < 1u << SLOT_STATE_BITS)
			next += 1u << SLOT_STATE_BITS;
		if (may_take(slot, word, fd) && claim_u32(&slot->word, word, next)) {
			*ret_word = slot_word(next, SLOT_ARMED);
			return slot;
		}
	}
	return NULL;
}

void slot_fill(struct slot *slot, int fd, const struct sockaddr *address, socklen_t length,
	       uint64_t due_us)
{
	poke_u32(&slot->fd, (uint32_t)fd);
	poke_u64(&slot->due_us, due_us);
	poke_u32(&slot->fires, 0);
	if (length == sizeof(slot->address.in))
		memcpy(&slot->address.in, address, sizeof(slot->address.in));
	else
		memcpy(&slot->address.in6, address, sizeof(slot->address.in6));
}

bool slot_leads_to(const struct slot *slot, const struct sockaddr *peer)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)peer;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)peer;

	if (peer->sa_family != slot->address.any.sa_family)
		return false;
	if (peer->sa_family == AF_INET)
		return in->sin_port == slot->address.in.sin_port &&
		       in->sin_addr.s_addr == slot->address.in.sin_addr.s_addr;
	return in6->sin6_port == slot->address.in6.sin6_port &&
	       memcmp(&in6->sin6_addr, &slot->address.in6.sin6_addr, sizeof(in6->sin6_addr)) == 0;
}

enum watchdog_end slot_disarm_fired(struct slot *slot, uint32_t word,
				    struct watchdog_note *ret_note)
{
	KEEP_ERRNO();
	const struct timespec pause = {.tv_nsec = WAIT_NS};
	uint32_t firing = slot_word(word, SLOT_FIRING);
	uint32_t fired = slot_word(word, SLOT_FIRED);
	uint64_t deadline_ms = clock_monotonic_ms() + LONGEST_WAIT_MS;
	enum watchdog_end end = WATCHDOG_QUIET;
	uint32_t now;

	/* It may be fired a second time, while we look. By time and not by count: signals end
	 * waits. */
	while ((now = slot_observe(slot)) == firing || now == fired) {
		if (now == firing) {
			if (clock_monotonic_ms() >= deadline_ms)
				break;
			raw_syscall(SYS_futex, &slot->word, FUTEX_WAIT_PRIVATE, firing, &pause,
				    NULL, 0);
			continue;
		}
		end = (enum watchdog_end)peek_u32(&slot->end);
		ret_note->cookie = peek_u64(&slot->cookie);
		ret_note->user_timeout = peek_u32(&slot->user_timeout);
		if (slot_change(slot, fired, SLOT_FREE))
			return end;
	}
	/* Taken over, emptied by fork(), or a thread that does not get on. */
	return WATCHDOG_QUIET;
}
