// SPDX-License-Identifier: Apache-2.0
#include "sync/syncer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/namespace_sync.h"

struct syncer {
	struct syncer_options options;
	const struct sync_io *io;
	struct logger logger;
	struct namespace_sync *namespaces;
	unsigned namespace_count;
	uint64_t settled_ms; /* what is not in by then is not waited for */
};

static struct namespace_sync *namespace_of(struct syncer *syncer, const char *namespace)
{
	for (unsigned i = 0; i < syncer->namespace_count; i++) {
		if (strcmp(syncer->namespaces[i].namespace, namespace) == 0)
			return &syncer->namespaces[i];
	}
	syncer->namespaces[syncer->namespace_count] = (struct namespace_sync){
		.options = &syncer->options,
		.io = syncer->io,
		.logger = &syncer->logger,
		.namespace = namespace,
	};
	return &syncer->namespaces[syncer->namespace_count++];
}

static bool asks_for_all_namespaces(const struct syncer_options *options)
{
	for (unsigned i = 0; i < options->ref_count; i++) {
		if (strcmp(options->refs[i].namespace, "*") == 0)
			return true;
	}
	return false;
}

int syncer_new(const struct syncer_options *options, const struct sync_io *io,
	       const struct logger *logger, struct syncer **ret_syncer)
{
	struct syncer *syncer = calloc(1, sizeof(*syncer));
	int rc;

	if (!syncer)
		return -ENOMEM;
	syncer->options = *options;
	syncer->io = io;
	syncer->logger = *logger;
	syncer->settled_ms = io->now_ms(io->ctx) + options->start_delay_ms + SYNCER_LONGEST_LIST_MS;
	/* At most one a ref; never moved, the scopes hold pointers to them. */
	syncer->namespaces = calloc(options->ref_count + 1, sizeof(syncer->namespaces[0]));
	rc = syncer->namespaces ? 0 : -ENOMEM;
	for (unsigned i = 0; rc == 0 && i < options->ref_count; i++) {
		const struct service_ref *ref = &options->refs[i];
		/* One collection of all namespaces makes those of single ones superfluous. */
		bool everywhere = asks_for_all_namespaces(options);

		rc = namespace_sync_add_name(namespace_of(syncer,
							  everywhere ? "*" : ref->namespace),
					     everywhere ? "*" : ref->name);
	}
	for (unsigned i = 0; rc == 0 && i < syncer->namespace_count; i++)
		rc = namespace_sync_start(&syncer->namespaces[i]);
	if (rc < 0) {
		syncer_free(syncer);
		return rc;
	}
	/* A stand-in that starts later waits for nothing. */
	syncer->options.start_delay_ms = 0;
	*ret_syncer = syncer;
	return 0;
}

void syncer_tick(struct syncer *syncer)
{
	for (unsigned n = 0; n < syncer->namespace_count; n++)
		namespace_sync_tick(&syncer->namespaces[n]);
}

bool syncer_take_changed(struct syncer *syncer, struct service_state *ret_state)
{
	for (unsigned n = 0; n < syncer->namespace_count; n++) {
		const struct namespace_sync *ns = &syncer->namespaces[n];

		if (namespace_sync_state(ns).synced && store_take_changed(ns->store, ret_state)) {
			ret_state->part = n;
			return true;
		}
	}
	return false;
}

void syncer_touch_all(struct syncer *syncer)
{
	for (unsigned n = 0; n < syncer->namespace_count; n++)
		store_touch_all(syncer->namespaces[n].store);
}

static void add_namespace(struct sync_state *sum, const struct sync_state *one)
{
	sum->synced |= one->synced;
	sum->attempted &= one->attempted;
	/* One that was never synced has nothing in the table that could be stale. */
	sum->live &= one->live || !one->synced;
	sum->services_known &= one->services_known;
	sum->hears |= one->hears;
	if (one->heard_ms && (!sum->heard_ms || one->heard_ms < sum->heard_ms))
		sum->heard_ms = one->heard_ms;
	if (one->due_ms < sum->due_ms)
		sum->due_ms = one->due_ms;
	if (!sum->problem[0])
		sum->problem = one->problem;
}

struct sync_state syncer_state(const struct syncer *syncer)
{
	struct sync_state sum = {
		.attempted = true,
		.live = true,
		.services_known = true,
		.due_ms = UINT64_MAX,
		.problem = "",
	};

	for (unsigned n = 0; n < syncer->namespace_count; n++) {
		struct sync_state one = namespace_sync_state(&syncer->namespaces[n]);

		add_namespace(&sum, &one);
	}
	sum.live &= sum.synced;
	sum.settled = sum.attempted || syncer->io->now_ms(syncer->io->ctx) >= syncer->settled_ms;
	if (!sum.settled && syncer->settled_ms < sum.due_ms)
		sum.due_ms = syncer->settled_ms;
	return sum;
}

bool syncer_part(const struct syncer *syncer, unsigned number, struct sync_part *ret_part)
{
	const struct namespace_sync *ns = &syncer->namespaces[number];

	if (number >= syncer->namespace_count)
		return false;
	*ret_part = (struct sync_part){
		.namespace = ns->namespace,
		.heard_ms = namespace_sync_state(ns).heard_ms,
	};
	return true;
}

void syncer_free(struct syncer *syncer)
{
	if (!syncer)
		return;
	for (unsigned n = 0; n < syncer->namespace_count; n++)
		namespace_sync_stop(&syncer->namespaces[n]);
	free(syncer->namespaces);
	free(syncer);
}
