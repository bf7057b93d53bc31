/* One list and watch with the objects that came from it, and its place in the journal. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_COLLECTION_H
#define K8SLB_SYNC_COLLECTION_H

#include "sync/journal.h"
#include "sync/reflector.h"
#include "sync/store.h"

/* All zero: not running. Must not move while it runs. */
struct collection {
	struct reflector reflector;
	struct store_scope *scope; /* NULL: not running */
	struct journal_collection journaled;
};

struct collection_options {
	struct store *store;
	bool (*wanted)(void *ctx, const char *namespace, const char *service); /* store.h */
	void *owner; /* the ctx of @wanted, and of journal_restore()'s on_denied */
	const struct sync_io *io;
	const struct logger *logger;
	struct journal *journal; /* NULL: none */
	struct reflector_options reflector;
};

/* Returns 0 or -errno. */
int collection_start(struct collection *collection, const struct collection_options *options);

/* Removes its objects too. Takes one that does not run. */
void collection_stop(struct collection *collection);

/* Goes on from what journal_restore() found to be refused, if it did. Takes one that does not run.
 */
void collection_resume_denied(struct collection *collection);

/* The same of one that was listed. */
void collection_resume_listed(struct collection *collection, uint32_t delay_ms,
			      uint64_t last_heard_ms);

/* Does what is due. Takes one that does not run. */
void collection_tick(struct collection *collection);

#endif
