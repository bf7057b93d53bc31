/* Chooses the endpoint of one connection: round robin or random over a table's endpoints. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_PICK_H
#define K8SLB_PICK_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "pick/memory.h"
#include "table/reader.h"

enum pick_policy {
	PICK_ROUND_ROBIN,
	PICK_RANDOM,
};

/* What the picks of one process share. */
struct pick_state {
	struct pick_memory *memory; /* where the shared one cannot be had, one of this process
				       alone, all zero but for the seed */
	uint64_t client;	    /* of affinity: any stable number */
	uint64_t now_ms; /* CLOCK_MONOTONIC; 0: read the clock when it is needed, which most
			    picks do not */
	struct health_rules rules;
	/*
	 * CURSOR_SLOTS of this process alone, all zero at first, for the rounds that it has begun:
	 * the shared cursor tells where each begins, and from there the process goes round by
	 * itself. So the connections of one program are even, whatever others do meanwhile, and so
	 * are those of many short ones, which begin one after the other. NULL: each connection
	 * takes a turn of the shared cursor.
	 */
	struct cursor_slot *rounds;
	uint64_t prober; /* whose probes are of use here (probed.h); 0: callers probe themselves */
	uint64_t seed;	 /* of @rounds: random, another one in each process, forked ones included */
	enum pick_policy policy;
};

struct picked {
	struct ip_address vip; /* of the Service port that was asked for */
	uint16_t vip_port;
	uint8_t protocol;
	uint32_t affinity_timeout_s; /* of the port; 0: it has none */
	struct table_endpoint endpoint;
};

enum pick_result {
	PICK_ENDPOINT,	  /* ret_picked is set */
	PICK_NOT_OURS,	  /* the table does not have this address */
	PICK_NO_TABLE,	  /* nothing published yet, or a damaged table */
	PICK_NO_ENDPOINT, /* none that may be used from here, or a client with affinity to the VIP
			   */
	PICK_EXHAUSTED,	  /* of pick_other() only: each endpoint was tried */
};

/*
 * How endpoints are chosen, in this order:
 *   affinity	the client's own (affinity.h);
 *   policy	the next turn of the port's round, or a random one.
 * One that is ejected (health.h) is passed over by taking further turns, so that the rest of the
 * round stays even; the next one in the list would get a double share. Where more than half of the
 * port's endpoints are ejected, and where there is one alone, health is not asked.
 */

/*
 * The index of the endpoint of @port, which has at least one, for a caller that cannot see what
 * becomes of it (a lookup): never a probe; one whose ejection is over is good. @key: of the port
 * (cursor.h). What was read is right only if table_read_valid() says so afterwards.
 */
uint32_t pick_index(const struct pick_state *state, const struct table_read *read, uint64_t key,
		    const struct table_port *port);

/* A port of the table, and the snapshot that it was found in. */
struct found_port {
	struct table_read read;
	struct table_port port;
	uint8_t protocol; /* as asked for: what depends on it need not wait for @port */
};

/* All that follows is lock-free, async-signal-safe, bounded and allocates nothing. */

/*
 * Looks the address up and takes no turn of the round. PICK_ENDPOINT: it has endpoints, for
 * pick_take(). In all other cases the content of @ret_found is of no use.
 */
enum pick_result pick_find(const struct table_view *view, const struct ip_address *vip,
			   uint16_t port, uint8_t protocol, struct found_port *ret_found);

/* The snapshot in which @found is has the same address and port of @protocol too; true as well where
 * that cannot be told any more. */
bool pick_finds_other(const struct found_port *found, const struct ip_address *vip, uint16_t port,
		      uint8_t protocol);

/*
 * Takes the next endpoint of what was found for @vip and @port. Returns 0; -EAGAIN: the writer has
 * overwritten that snapshot since, look again; -EBADMSG: damaged; -ENOENT: this client has affinity
 * to the VIP. Then the turn is lost and the content of @ret_picked of no use.
 */
int pick_take(const struct found_port *found, const struct pick_state *state,
	      const struct ip_address *vip, uint16_t port, struct picked *ret_picked);

/* Both in one, again whenever the snapshot was overwritten in between. */
enum pick_result pick_by_vip(const struct table_view *view, const struct pick_state *state,
			     const struct ip_address *vip, uint16_t port, uint8_t protocol,
			     struct picked *ret_picked);

/* Most endpoints that a failover can have tried. */
#define PICK_TRIED 16u

/*
 * Failover: another endpoint for the same address, none of the @tried_count ones in @tried (at most
 * PICK_TRIED; compared by address and port), from the newest snapshot. A good one if there is any,
 * else one that is ejected. Takes a turn; a client with affinity stays with it. Never a probe.
 * PICK_EXHAUSTED: no other endpoint is left; else as pick_by_vip().
 */
enum pick_result pick_other(const struct table_view *view, const struct pick_state *state,
			    const struct ip_address *vip, uint16_t port, uint8_t protocol,
			    const struct table_endpoint *tried, unsigned tried_count,
			    struct picked *ret_picked);

/*
 * What was found has an endpoint that is neither @current nor one of the @tried_count ones in @tried (at
 * most PICK_TRIED): pick_other() would find one, as the list is now. Takes no turn.
 */
bool pick_finds_untried(const struct found_port *found, const struct table_endpoint *current,
			const struct table_endpoint *tried, unsigned tried_count);

/*
 * Reports for all processes what became of a connection to @endpoint (address, port and uid_hash as
 * picked). Failed: refused, unreachable or timed out, and nothing that the caller's own socket or
 * limits brought about (EADDRNOTAVAIL, EACCES, EINTR). Both keep errno; pick_succeeded() is one
 * load when nothing was ever wrong.
 */
void pick_failed(const struct pick_state *state, const struct table_endpoint *endpoint);
/* As pick_failed(), of a try that had less time than a slow endpoint may need (health_suspect()). */
void pick_suspected(const struct pick_state *state, const struct table_endpoint *endpoint);
void pick_succeeded(const struct pick_state *state, const struct table_endpoint *endpoint);

/* Nothing was ever wrong of late, and no success would tell anything new: one load. */
bool pick_is_quiet(const struct pick_state *state);

/* pick_succeeded(), and for a port with affinity: a pod has served this client. Keeps errno. */
void pick_served(const struct pick_state *state, const struct picked *picked);

/*
 * The Service's own address, after what was picked: false where the port has affinity and a pod has
 * served this client within its time. No system call without affinity. Keeps errno.
 */
bool pick_may_leave(const struct pick_state *state, const struct picked *picked);

/* The connection goes to the VIP: counts it, and a client with affinity stays there. */
void pick_left(const struct pick_state *state, const struct picked *picked);

/* All attempts of one connection failed: counts it. */
void pick_gave_up(const struct pick_state *state);

#endif
