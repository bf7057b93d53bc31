/* How well following goes: of one namespace, of all, or of a file. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_STATE_H
#define K8SLB_SYNC_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* What is listed and watched by itself, by number: a namespace, or all of them. */
struct sync_part {
	const char *namespace; /* "*": all */
	uint64_t heard_ms;     /* of sync_state, of this part alone; 0 as well: it is not synced */
};

struct sync_state {
	bool synced; /* at least one namespace was listed whole, or has its stand-ins; stays true */
	bool attempted; /* the first list of every collection came to an end, whichever */
	/* What is synced now is to stand in the place of any older state, whatever is missing: all
	 * is attempted, or SYNCER_LONGEST_LIST_MS have passed since the first list was due. */
	bool settled;
	bool live;	     /* all synced namespaces are heard now: what was taken is fresh */
	bool services_known; /* all namespaces are synced, and none by stand-ins for Services */
	bool hears;	     /* at least one collection is heard now */
	/* monotonic, the last good byte about the oldest of what is synced; 0: none yet */
	uint64_t heard_ms;
	uint64_t due_ms; /* monotonic, of the next tick; UINT64_MAX: never by itself */
	/* The first one of any collection; "": none. Valid until the next tick or the next answer.
	 */
	const char *problem;
};

#endif
