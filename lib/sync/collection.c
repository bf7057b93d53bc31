// SPDX-License-Identifier: Apache-2.0
#include "sync/collection.h"

#include <string.h>

/* The journal's name for a collection is what it is asked by. */
static int join_journal(struct collection *collection, const struct collection_options *options)
{
	struct buffer key = {0};
	int rc = buffer_append_text(&key, options->reflector.collection_path);

	if (rc == 0)
		rc = buffer_append_text(&key, "?");
	if (rc == 0)
		rc = buffer_append_text(&key, options->reflector.selector);
	if (rc == 0)
		rc = journal_join(options->journal, &collection->journaled, options->reflector.kind,
				  key.data, collection->scope, options->owner);
	buffer_free(&key);
	return rc;
}

int collection_start(struct collection *collection, const struct collection_options *options)
{
	struct reflector_sink sink;
	int rc = store_scope_open(options->store, options->wanted, options->owner,
				  &collection->scope);

	if (rc < 0)
		return rc;
	sink = store_scope_sink(collection->scope);
	if (options->journal) {
		rc = join_journal(collection, options);
		sink = journal_sink(&collection->journaled);
	}
	if (rc == 0)
		rc = reflector_init(&collection->reflector, &options->reflector, options->io, &sink,
				    options->logger);
	if (rc < 0) {
		journal_leave(&collection->journaled);
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
	journal_leave(&collection->journaled);
	store_scope_close(collection->scope);
	memset(collection, 0, sizeof(*collection));
}

void collection_resume_denied(struct collection *collection)
{
	struct reflector_resume resume = {.denied = true, .resource_version = ""};

	if (collection->journaled.denied && !collection->reflector.denied)
		reflector_resume(&collection->reflector, &resume);
}

void collection_resume_listed(struct collection *collection, uint32_t delay_ms,
			      uint64_t last_heard_ms)
{
	struct reflector_resume resume = {
		.listed = true,
		.resource_version = collection->journaled.version,
		.delay_ms = delay_ms,
		.last_heard_ms = last_heard_ms,
	};

	if (collection->journaled.listed)
		reflector_resume(&collection->reflector, &resume);
}

void collection_tick(struct collection *collection)
{
	if (collection->scope)
		reflector_tick(&collection->reflector);
}
