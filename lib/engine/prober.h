/* Tries endpoints that are avoided, for all processes of the table, so that no connection has to. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_PROBER_H
#define K8SLB_ENGINE_PROBER_H

#include <stdint.h>

#include "base/log.h"
#include "pick/pick.h"
#include "table/reader.h"

/*
 * A connection that tries an endpoint whose ejection is over costs a user's call up to a second
 * when it is still dead. The writer's thread does it in their place, in each of its rounds: those
 * that somebody would have used since the last time (health_want()), and of them only what the
 * table has: whatever others write into the pick memory, no other address is dialled.
 *
 * The server's accept(2) never sees a probe. Without TCP_QUICKACK the kernel keeps the last packet
 * of the handshake back for up to 200 ms (tcp_rcv_synsent_state_process()); by then the answer to
 * the first one was seen and the socket closed with SO_LINGER 0, which sends a reset: the server's
 * kernel drops the request.
 *
 * No probes: without /proc on a kernel before 5.14; where descriptors would stand in the program's table.
 */
#define PROBER_MOST 8u /* at once */

struct probe {
	int fd; /* -1: free */
	uint64_t due_ms; /* has failed by then */
	struct table_endpoint endpoint;
};

struct prober {
	struct pick_state state; /* what outcomes are reported with */
	const struct logger *logger;
	uint64_t number; /* pick/probed.h; 0: it does nothing */
	uint64_t look_ms; /* not earlier again */
	int epoll_fd; /* can be read when a probe has an outcome; -1 */
	struct probe probes[PROBER_MOST];
};

/* The number of who probes the endpoints of @table (writer_lock.table, or any other number that is
 * this table's alone) from the calling thread's network namespace; 0: not known. */
uint64_t prober_number(uint64_t table);

/* @memory may be NULL: it does nothing then. @probe_ms: how long one may take. For the calling
 * thread, which has a descriptor table of its own. */
void prober_open(struct prober *ret_prober, struct pick_memory *memory, uint64_t number,
		 uint32_t probe_ms, const struct logger *logger);

/* When it has something to do, at the latest: ms from now, at most @most_ms. */
int prober_wait_ms(const struct prober *prober, int most_ms);

/* Takes outcomes, and begins with what is wanted of @view (NULL: nothing). Never waits. */
void prober_run(struct prober *prober, const struct table_view *view);

/* Whoever was told to leave it to this prober probes again. */
void prober_close(struct prober *prober);

#endif
