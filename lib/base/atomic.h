/* The memory orders of the whole project, each with a name that says its use. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_ATOMIC_H
#define K8SLB_BASE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * No other file names a memory order (scripts/check-structure). A use of publish_* names the
 * observe_* that it pairs with, and the other way round.
 *
 *   publish / observe   release store / acquire load: what was written before the store is seen
 *                       after the load.
 *   peek / poke         relaxed: one word without any order. For words that another thread may
 *                       change under us and that a later check validates (seqlock data), and for
 *                       counters.
 *   claim               compare-and-swap that wins at most once, acquire on success.
 */

static inline uint64_t observe_u64(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void publish_u64(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint32_t observe_u32(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void publish_u32(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

#define observe_pointer(slot)	     __atomic_load_n((slot), __ATOMIC_ACQUIRE)
#define publish_pointer(slot, value) __atomic_store_n((slot), (value), __ATOMIC_RELEASE)
#define peek_pointer(slot)	     __atomic_load_n((slot), __ATOMIC_RELAXED)
#define poke_pointer(slot, value)    __atomic_store_n((slot), (value), __ATOMIC_RELAXED)

static inline uint64_t peek_u64(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void poke_u64(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint32_t peek_u32(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void poke_u32(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint8_t peek_u8(const uint8_t *byte)
{
	return __atomic_load_n(byte, __ATOMIC_RELAXED);
}

/* Takes the next number of a shared counter in the upper half of a word; order against other memory
 * does not matter. */
static inline uint64_t take_tickets_u64(uint64_t *word, uint64_t step)
{
	return __atomic_fetch_add(word, step, __ATOMIC_RELAXED);
}

/* For what is counted for people to read. */
static inline void add_u64(uint64_t *counter, uint64_t more)
{
	__atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

/* One winner changes @word from @from to @to; the winner sees all that was published before. */
static inline bool claim_u32(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline bool claim_u64(uint64_t *word, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/* The same for what a pointer points to. */
#define claim_pointer(slot, from, to)                                                             \
	__extension__({                                                                           \
		__typeof__(*(slot)) claimed_from = (from);                                        \
		__atomic_compare_exchange_n((slot), &claimed_from, (to), false, __ATOMIC_ACQ_REL, \
					    __ATOMIC_ACQUIRE);                                    \
	})

/* Puts another one into the slot and takes what was there. */
#define swap_pointer(slot, to) __atomic_exchange_n((slot), (to), __ATOMIC_ACQ_REL)

/*
 * The two fences of a seqlock (Boehm, "Can seqlocks get along with programming language memory
 * models?", MSPC 2012).
 * Writer: mark the arena invalid, fence_before_rewrite(), poke the data, publish the sequence.
 * Reader: observe the sequence, peek the data, fence_before_recheck(), peek the sequence again.
 */
static inline void fence_before_rewrite(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void fence_before_recheck(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/*
 * Between a store and a load of two threads that each say something and then look whether the other
 * one did: at least one of them sees it (Dekker).
 */
static inline void fence_before_look(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * Copies @size bytes (a multiple of 8) between private memory of any type and shared memory, which
 * is 8-aligned, word by word without order. memcpy on the shared side would be a data race with
 * the writer of the next snapshot; a cast on the private side would break the aliasing rules.
 * Unrolled: most copies are one record, whose few words then need no loop.
 */
static inline void peek_words(void *private_copy, const void *shared, size_t size)
{
	const uint64_t *from = (const uint64_t *)shared;

#pragma GCC unroll 8
	for (size_t i = 0; i < size / sizeof(uint64_t); i++) {
		uint64_t word = peek_u64(&from[i]);

		memcpy((unsigned char *)private_copy + i * sizeof(word), &word, sizeof(word));
	}
}

static inline void poke_words(void *shared, const void *private_copy, size_t size)
{
	uint64_t *to = (uint64_t *)shared;

#pragma GCC unroll 8
	for (size_t i = 0; i < size / sizeof(uint64_t); i++) {
		uint64_t word;

		memcpy(&word, (const unsigned char *)private_copy + i * sizeof(word), sizeof(word));
		poke_u64(&to[i], word);
	}
}

#endif
