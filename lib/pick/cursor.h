/* Round-robin cursors that processes with different tables share. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_CURSOR_H
#define K8SLB_PICK_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "table/keys.h"
#include "table/reader.h"

/*
 * Found by the name of what they count, not by a number of the table: two writers number their
 * ports differently. A slot once taken stays so; with 16384 of them the first 4000 Services of a
 * Pod find one as a rule. Others take random turns: a slot that two ports shared would go round
 * with neither. One word, so that a ticket is one fetch-and-add, which neither fails nor loses a
 * turn however many threads take one at once, and so that a round that begins elsewhere than at 0
 * does so for all.
 */
#define CURSOR_SLOTS  16384u /* a power of two */
#define CURSOR_PROBES 4u

struct cursor_slot {
	/* Lower half: tag, the upper half of the key; 0: free. Upper half: the next ticket, whose
	 * overflow is lost. */
	uint64_t word;
};

#define CURSOR_TICKET_SHIFT 32

static inline uint32_t cursor_tag(uint64_t key)
{
	uint32_t tag = (uint32_t)(key >> 32);

	return tag + (tag == 0);
}

/* The key of a Service port with a VIP: the same in each process. */
static inline uint64_t cursor_key_of_vip(const struct ip_address *vip, uint16_t port,
					 uint8_t protocol)
{
	return table_vip_hash(vip, table_vip_key(port, protocol));
}

/* The key of a port of a headless Service. Families are apart: one lookup takes a turn of both, and
 * on one cursor each would see every second turn only. */
uint64_t cursor_key_of_name(const char *namespace, const char *name, const struct table_port *port);

/* The slot of @key, or the one that it may have: then @ret_free. NULL when all belong to others. */
static inline struct cursor_slot *cursor_find(struct cursor_slot *slots, uint64_t key,
					      bool *ret_free)
{
	uint32_t tag = cursor_tag(key);

	for (unsigned probe = 0; probe < CURSOR_PROBES; probe++) {
		struct cursor_slot *slot = &slots[(key + probe) & (CURSOR_SLOTS - 1)];
		uint32_t found = (uint32_t)peek_u64(&slot->word);

		*ret_free = found == 0;
		if (found == tag || *ret_free)
			return slot;
	}
	return NULL;
}

/* The next ticket of a slot that was found to be the key's. */
static inline uint32_t cursor_next(struct cursor_slot *slot)
{
	return (uint32_t)(take_tickets_u64(&slot->word, 1ull << CURSOR_TICKET_SHIFT) >>
			  CURSOR_TICKET_SHIFT);
}

/*
 * A slot that was found free is @key's from now on, and @ticket its next one. Returns false when
 * another thread was faster; it may have done so for the same key.
 */
static inline bool cursor_begin(struct cursor_slot *slot, uint64_t key, uint32_t ticket)
{
	uint64_t word = peek_u64(&slot->word);

	return (uint32_t)word == 0 &&
	       claim_u64(&slot->word, word,
			 cursor_tag(key) | (uint64_t)ticket << CURSOR_TICKET_SHIFT);
}

/*
 * Takes the next ticket of @key from CURSOR_SLOTS slots, making a free slot its own. Returns false
 * when all its slots belong to others. Any content is harmless: any ticket is a turn.
 */
static inline bool cursor_take(struct cursor_slot *slots, uint64_t key, uint32_t *ret_ticket)
{
	for (unsigned try = 0; try < CURSOR_PROBES; try++) {
		bool free;
		struct cursor_slot *slot = cursor_find(slots, key, &free);

		if (!slot)
			return false;
		if (free && !cursor_begin(slot, key, 0))
			continue;
		*ret_ticket = cursor_next(slot);
		return true;
	}
	return false;
}

#endif
