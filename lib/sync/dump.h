/* Objects out of what `kubectl get services,endpointslices -o json` or the API server writes. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_DUMP_H
#define K8SLB_SYNC_DUMP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"
#include "sync/store.h"

/* The objects of the last document that was read, in a store. */
struct dump {
	struct store_scope *scopes[3]; /* one for each kind: names are unique within a kind only */
	struct logger logger;
	struct log_once told;
};

/* What a document held. */
struct dump_counts {
	unsigned services;
	unsigned slices;    /* EndpointSlices */
	unsigned endpoints; /* Endpoints that were taken */
	unsigned others;    /* of kinds that are not ours, left out */
};

/* @wanted and @ctx as for store_scope_open(). The scopes are the store's and end with it. Returns 0
 * or -ENOMEM. */
int dump_init(struct dump *dump, struct store *store,
	      bool (*wanted)(void *ctx, const char *namespace, const char *service), void *ctx,
	      const struct logger *logger);

/*
 * Replaces the objects with those of the documents: Lists, ServiceLists, EndpointSliceLists,
 * EndpointsLists or single objects, one after the other. Where they have EndpointSlices its
 * Endpoints are left out: they say the same and less. A bad item is told to the logger and keeps
 * its last good version. Returns 0 or -errno with the reason in @error; the objects are as they
 * were then.
 */
int dump_read(struct dump *dump, const char *text, size_t size, struct dump_counts *ret_counts,
	      char *error, size_t error_size);

#endif
