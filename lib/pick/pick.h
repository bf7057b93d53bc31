/* Chooses the endpoint of one connection: round robin or random over a table's endpoints. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_PICK_H
#define K8SLB_PICK_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "pick/affinity.h"
#include "table/reader.h"

/* Cursor numbers of a table are taken modulo this: a process maps 256 KiB that stay untouched
 * but for the pages of the services in use. A power of two. */
#define PICK_CURSORS 65536u

enum pick_policy {
	PICK_ROUND_ROBIN,
	PICK_RANDOM,
};

/* What the picks of one process share; all zero cursors are a valid start. */
struct pick_state {
	uint32_t *cursors; /* PICK_CURSORS words, shared by all threads */
	uint64_t seed;	   /* random, another one in each process, forked ones included: where
			      the rounds begin. Without it the first connection of every process
			      goes to the same pod (kubernetes/kubernetes#3640). */
	enum pick_policy policy;
	/* Called only for a port with session affinity: the slots to note it in, and the client's
	 * number. NULL: affinity is not observed. Async-signal-safe, never returns NULL. */
	struct affinity_slot *(*affinity)(uint64_t *ret_client);
};

struct picked {
	struct ip_address vip; /* of the Service port that was asked for */
	uint16_t vip_port;
	struct table_endpoint endpoint;
	uint64_t generation; /* of the snapshot that it came from */
};

enum pick_result {
	PICK_ENDPOINT,	  /* ret_picked is set */
	PICK_NOT_OURS,	  /* the table does not have this address */
	PICK_NO_TABLE,	  /* nothing published yet, or a damaged table */
	PICK_REFUSE,	  /* no endpoint: ECONNREFUSED */
	PICK_UNREACHABLE, /* none on this node with internalTrafficPolicy Local: EHOSTUNREACH */
	PICK_LEAVE,	  /* no endpoint, but that may not be the truth: leave it to libc */
};

/*
 * The index of the endpoint of @port, which has at least one, for the next connection to @vip: the
 * client's own where the port has session affinity, else the next one, which takes a turn. @vip is
 * where affinity is noted. What was read is right only if table_read_valid() says so afterwards.
 */
uint32_t pick_index(const struct pick_state *state, const struct table_read *read,
		    const struct ip_address *vip, const struct table_port *port);

/*
 * The index, below @count (not 0), of the next endpoint of the port with this cursor: for a caller
 * that has read the port itself. Takes a turn.
 */
uint32_t pick_turn(const struct pick_state *state, uint32_t cursor, uint32_t count);

/* A port of the table, and the snapshot that it was found in. */
struct found_port {
	struct table_read read;
	struct table_port port;
};

/* All that follows is lock-free, async-signal-safe, bounded and allocates nothing. */

/*
 * Looks the address up and takes no turn of the round. PICK_ENDPOINT: it has endpoints, for
 * pick_take(). In all other cases the content of @ret_found is of no use.
 */
enum pick_result pick_find(const struct table_view *view, const struct ip_address *vip,
			   uint16_t port, uint8_t protocol, struct found_port *ret_found);

/*
 * Takes the next endpoint of what was found for @vip and @port. Returns 0; -EAGAIN: the writer has
 * overwritten that snapshot since, look again; -EBADMSG: damaged. Then the turn is lost and the
 * content of @ret_picked of no use.
 */
int pick_take(const struct found_port *found, const struct pick_state *state,
	      const struct ip_address *vip, uint16_t port, struct picked *ret_picked);

/* Both in one, again whenever the snapshot was overwritten in between. */
enum pick_result pick_by_vip(const struct table_view *view, const struct pick_state *state,
			     const struct ip_address *vip, uint16_t port, uint8_t protocol,
			     struct picked *ret_picked);

#endif
