/* All Services that a document or the API server tells of, taken in once. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_WORLD_H
#define K8SLB_CLI_WORLD_H

#include <stddef.h>

#include "pipeline/source.h"
#include "sync/store.h"

struct world {
	/* Sorted by namespace and name. A Service of which only slices are known is among them,
	 * with service NULL. */
	struct service_state *services;
	unsigned count;
	struct store *store;	       /* of world_read(), else NULL */
	struct source *source;	       /* of world_ask(), else NULL */
	struct held_lines *held_lines; /* its log until it is known what to say */
};

/*
 * Reads a `kubectl get services,endpointslices -o json` document from @path, "-" for standard
 * input. Items that cannot be used are told to @logger and left out. Returns 0 or -errno with the
 * reason in @error, which names the file.
 */
int world_read(const char *path, const struct logger *logger, struct world *ret_world, char *error,
	       size_t error_size);

/*
 * Lists what options->sync.refs ask for at options->api_url. @options' strings and refs must
 * outlive the world. Returns 0 or -errno with the reason in @error, -ETIMEDOUT when the server does
 * not answer within WORLD_ASK_MS.
 */
int world_ask(const struct pipeline_options *options, const struct logger *logger,
	      struct world *ret_world, char *error, size_t error_size);

#define WORLD_ASK_MS 30000u

/* Takes a zeroed struct. */
void world_free(struct world *world);

#endif
