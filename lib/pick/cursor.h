/* Round-robin cursors that processes with different tables share. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_CURSOR_H
#define K8SLB_PICK_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "table/keys.h"
#include "table/reader.h"

/*
 * Found by the name of what they count, not by the table's cursor number: two writers number their
 * ports differently. A slot once taken stays so; with 8192 of them the first 2000 Services of a
 * Pod find one as a rule, others use a cursor of their process (pick.h).
 * Two words instead of one of 64 bits: a ticket is then one fetch-and-add, which neither fails nor
 * loses a turn however many processes take one at once.
 */
#define CURSOR_SLOTS  8192u /* a power of two */
#define CURSOR_PROBES 4u

struct cursor_slot {
	uint32_t tag;	 /* upper half of the key; 0: free */
	uint32_t ticket; /* the next one */
};

/* The key of a Service port with a VIP: the same in each process. */
static inline uint64_t cursor_key_of_vip(const struct ip_address *vip, uint16_t port,
					 uint8_t protocol)
{
	return table_vip_hash(vip, table_vip_key(port, protocol));
}

/* The key of a port of a headless Service. Families are apart: one lookup takes a turn of both, and
 * on one cursor each would see every second turn only. */
uint64_t cursor_key_of_name(const char *namespace, const char *name, const struct table_port *port);

/* The slot of @key, made its own when it is free: then @ret_fresh. NULL when all its slots belong
 * to others. */
static inline struct cursor_slot *cursor_find(struct cursor_slot *slots, uint64_t key,
					      bool *ret_fresh)
{
	uint32_t tag = (uint32_t)(key >> 32);

	tag += tag == 0;
	for (unsigned probe = 0; probe < CURSOR_PROBES; probe++) {
		struct cursor_slot *slot = &slots[(key + probe) & (CURSOR_SLOTS - 1)];
		uint32_t found = peek_u32(&slot->tag);

		*ret_fresh = found == 0 && claim_u32(&slot->tag, 0, tag);
		/* Whoever loses the claim may have lost it to another one with the same port. */
		if (found == tag || *ret_fresh || (found == 0 && peek_u32(&slot->tag) == tag))
			return slot;
	}
	return NULL;
}

/*
 * Takes the next ticket of @key from CURSOR_SLOTS slots, making a free slot its own. Returns false
 * when all its slots belong to others. Any content is harmless: any ticket is a turn.
 */
static inline bool cursor_take(struct cursor_slot *slots, uint64_t key, uint32_t *ret_ticket)
{
	bool fresh;
	struct cursor_slot *slot = cursor_find(slots, key, &fresh);

	if (!slot)
		return false;
	*ret_ticket = take_ticket_u32(&slot->ticket);
	return true;
}

#endif
