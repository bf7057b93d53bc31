/* What is followed in one namespace: its collections, and what stands in for those refused. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_NAMESPACE_SYNC_H
#define K8SLB_SYNC_NAMESPACE_SYNC_H

#include "sync/collection.h"
#include "sync/state.h"
#include "sync/syncer.h"

/* All zero but the first four is a valid one that does not run. Must not move while it runs. */
struct namespace_sync {
	const struct syncer_options *options;
	const struct sync_io *io;
	const struct logger *logger;
	const char *namespace; /* "*": all */
	bool all;	       /* an entry asks for every Service */
	const char **names;    /* else: those, each once */
	unsigned name_count;
	struct store *store;
	struct collection services;
	struct collection slices;
	struct collection *endpoints; /* one a name, or one for all */
	unsigned endpoints_count;
	struct store_scope *made_up; /* stand-ins for Services that may not be read */
};

/* Before the start; "*": every Service. Returns 0 or -ENOMEM. */
int namespace_sync_add_name(struct namespace_sync *ns, const char *name);

/* Returns 0 or -errno; namespace_sync_stop() is due in either case. */
int namespace_sync_start(struct namespace_sync *ns);

/* Does what is due in the collections; switches to and from the stand-ins as the server allows and
 * forbids. */
void namespace_sync_tick(struct namespace_sync *ns);

/* @settled is the syncer's to say: here as @attempted. */
struct sync_state namespace_sync_state(const struct namespace_sync *ns);

/* Cancels all requests and frees what the namespace holds. */
void namespace_sync_stop(struct namespace_sync *ns);

#endif
