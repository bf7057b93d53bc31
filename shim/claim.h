/* A claim on a piece of work in a hook, that does not outlive whoever took it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_CLAIM_H
#define K8SLB_SHIM_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/*
 * Who holds it may never give it back: a handler leaves the hook by siglongjmp(3), a debugger stops
 * the thread, fork(2) copies the claim into a child that has not the thread. So it says whose it is
 * and how long, and after that the next one takes it over. The holder may be just slow: what the
 * claim protects has to bear two of them, and their results go in by claim_pointer().
 *
 * Where no handler may run at all for the few steps of it: base/undisturbed.h.
 */
struct claim {
	/* 0: nobody's. Above the owner's process id (PID_MAX_LIMIT of linux/threads.h: 22 bits) the
	 * end of it, ms of the coarse clock. */
	uint64_t word;
};

#define CLAIM_PID_BITS 22

static inline uint32_t claim_pid(uint64_t word)
{
	return (uint32_t)(word & ((1u << CLAIM_PID_BITS) - 1));
}

static inline uint64_t claim_end(uint64_t word)
{
	return word >> CLAIM_PID_BITS;
}

/* @word is one that nobody else may take now. */
static inline bool claim_stands(uint64_t word, uint32_t pid, uint64_t now_ms, uint32_t longest_ms)
{
	return word && claim_pid(word) == pid && claim_end(word) > now_ms &&
	       claim_end(word) - now_ms <= longest_ms;
}

/* Returns the claim's word, or 0 when it stands already. @longest_ms is the same in all calls. */
static inline uint64_t claim_take(struct claim *claim, uint32_t pid, uint64_t now_ms,
				  uint32_t longest_ms)
{
	uint64_t before = peek_u64(&claim->word);
	uint64_t ours = (now_ms + longest_ms) << CLAIM_PID_BITS | pid;

	if (claim_stands(before, pid, now_ms, longest_ms) || !claim_u64(&claim->word, before, ours))
		return 0;
	return ours;
}

/* Unless another one has taken it over. */
static inline void claim_give_back(struct claim *claim, uint64_t ours)
{
	claim_u64(&claim->word, ours, 0);
}

#endif
