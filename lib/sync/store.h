/* All objects that the API server told of, kept one by one and grouped by Service. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_STORE_H
#define K8SLB_SYNC_STORE_H

#include <stdbool.h>

#include "base/object.h"
#include "sync/reflector.h"

/*
 * EndpointSlices are kept slice by slice, because endpoints move between them and one slice is
 * never the whole Service (kube-proxy, endpointslicecache.go). A slice belongs to the Service that
 * its label names, which may change.
 */
struct store;

/* Returns 0 or -ENOMEM. */
int store_new(struct store **ret_store);

/* Where it says what was left out; nowhere by default. */
void store_set_logger(struct store *store, const struct logger *logger);

/* Frees all objects and scopes. Takes NULL. */
void store_free(struct store *store);

/*
 * A scope is what one collection said: a list replaces exactly the objects of its scope. Lives
 * until store_scope_close() or store_free().
 */
struct store_scope;

/*
 * @wanted: objects for which it returns false are dropped, for a collection that the server cannot
 * narrow down; NULL: all are wanted. @namespace and @service name the Service they belong to.
 * Returns 0 or -ENOMEM.
 */
int store_scope_open(struct store *store,
		     bool (*wanted)(void *ctx, const char *namespace, const char *service),
		     void *ctx, struct store_scope **ret_scope);

/* Removes all its objects, and the scope. Takes NULL. */
void store_scope_close(struct store_scope *scope);

/* Feeds the scope from a reflector. What is beyond LIMIT_OBJECTS, LIMIT_ENDPOINTS or LIMIT_SLICES
 * (base/limits.h) is left out, and an older version of it goes. */
struct reflector_sink store_scope_sink(struct store_scope *scope);

/* What a Service consists of now. */
struct service_state {
	const char *namespace;
	const char *name;
	const struct service *service; /* NULL: not known */
	const struct endpoint_slice *const *slices;
	unsigned slice_count;
	unsigned part; /* of what is followed: sync/state.h. 0 from a store */
};

/*
 * Takes the next Service that changed since it was last taken; both NULL service and no slices
 * mean that it is gone. Pointers are valid until a sink or scope of the store is used; of a Service
 * that is gone until the next take. Returns false when there is none.
 */
bool store_take_changed(struct store *store, struct service_state *ret_state);

/* Makes store_take_changed() give every Service again. */
void store_touch_all(struct store *store);

#endif
