// SPDX-License-Identifier: Apache-2.0
#include "sync/collection.h"

#include <string.h>

int collection_start(struct collection *collection, const struct collection_options *options)
{
	struct reflector_sink sink;
	int rc = store_scope_open(options->store, options->wanted, options->owner,
				  &collection->scope);

	if (rc < 0)
		return rc;
	sink = store_scope_sink(collection->scope);
	rc = reflector_init(&collection->reflector, &options->reflector, options->io, &sink,
			    options->logger);
	if (rc < 0) {
		store_scope_close(collection->scope);
		memset(collection, 0, sizeof(*collection));
	}
	return rc;
}

void collection_stop(struct collection *collection)
{
	if (!collection->scope)
		return;
	reflector_stop(&collection->reflector);
	store_scope_close(collection->scope);
	memset(collection, 0, sizeof(*collection));
}

void collection_tick(struct collection *collection)
{
	if (collection->scope)
		reflector_tick(&collection->reflector);
}
