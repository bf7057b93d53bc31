/* One list and watch with the objects that came from it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_COLLECTION_H
#define K8SLB_SYNC_COLLECTION_H

#include "sync/reflector.h"
#include "sync/store.h"

/* All zero: not running. Must not move while it runs. */
struct collection {
	struct reflector reflector;
	struct store_scope *scope; /* NULL: not running */
};

struct collection_options {
	struct store *store;
	bool (*wanted)(void *ctx, const char *namespace, const char *service); /* store.h */
	void *owner; /* the ctx of @wanted */
	const struct sync_io *io;
	const struct logger *logger;
	struct reflector_options reflector;
};

/* Returns 0 or -errno. */
int collection_start(struct collection *collection, const struct collection_options *options);

/* Removes its objects too. Takes one that does not run. */
void collection_stop(struct collection *collection);

/* Does what is due. Takes one that does not run. */
void collection_tick(struct collection *collection);

#endif
