// SPDX-License-Identifier: Apache-2.0
#include "sync/namespace_sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/made_up.h"
#include "sync/selector.h"

int namespace_sync_add_name(struct namespace_sync *ns, const char *name)
{
	const char **grown;

	if (strcmp(name, "*") == 0) {
		ns->all = true;
		return 0;
	}
	for (unsigned i = 0; i < ns->name_count; i++) {
		if (strcmp(ns->names[i], name) == 0)
			return 0;
	}
	grown = realloc(ns->names, (ns->name_count + 1) * sizeof(ns->names[0]));
	if (!grown)
		return -ENOMEM;
	ns->names = grown;
	ns->names[ns->name_count++] = name;
	return 0;
}

static bool is_wanted(void *ctx, const char *namespace, const char *service)
{
	const struct namespace_sync *ns = ctx;

	return service_refs_cover(ns->options->refs, ns->options->ref_count, namespace, service);
}

/* ---- collections ---- */

static int start_collection(struct namespace_sync *ns, struct collection *collection,
			    enum object_kind kind, const char *group_version, const char *resource,
			    const struct buffer *selector)
{
	struct buffer path = {0};
	struct collection_options options = {
		.store = ns->store,
		.wanted = is_wanted,
		.owner = ns,
		.io = ns->io,
		.logger = ns->logger,
		.reflector =
			{
				.kind = kind,
				.selector = selector->data,
				.retry_delay_ms = ns->options->retry_delay_ms,
				.sync_interval_ms = ns->options->sync_interval_ms,
				.start_delay_ms = ns->options->start_delay_ms,
			},
	};
	int rc = selector_path(group_version, ns->namespace, resource, &path);

	options.reflector.collection_path = path.data;
	if (rc == 0)
		rc = collection_start(collection, &options);
	buffer_free(&path);
	return rc;
}

static int start_services(struct namespace_sync *ns)
{
	bool one = !ns->all && ns->name_count == 1;
	struct buffer selector = {0};
	int rc = selector_of_name(one ? ns->names[0] : NULL, &selector);

	if (rc == 0)
		rc = start_collection(ns, &ns->services, OBJECT_SERVICE, "/api/v1", "services",
				      &selector);
	buffer_free(&selector);
	return rc;
}

static int start_slices(struct namespace_sync *ns)
{
	struct buffer selector = {0};
	int rc = selector_of_slices(ns->names, ns->all ? 0 : ns->name_count, &selector);

	if (rc == 0)
		rc = start_collection(ns, &ns->slices, OBJECT_ENDPOINT_SLICE,
				      "/apis/discovery.k8s.io/v1", "endpointslices", &selector);
	buffer_free(&selector);
	return rc;
}

static void stop_endpoints(struct namespace_sync *ns)
{
	for (unsigned i = 0; i < ns->endpoints_count; i++)
		collection_stop(&ns->endpoints[i]);
	free(ns->endpoints);
	ns->endpoints = NULL;
	ns->endpoints_count = 0;
}

static int start_endpoints(struct namespace_sync *ns)
{
	unsigned count = ns->all ? 1 : ns->name_count;
	int rc = 0;

	ns->endpoints = calloc(count, sizeof(ns->endpoints[0]));
	if (!ns->endpoints)
		return -ENOMEM;
	ns->endpoints_count = count;
	for (unsigned i = 0; rc == 0 && i < count; i++) {
		const char *name = ns->all ? NULL : ns->names[i];
		struct buffer selector = {0};

		rc = selector_of_name(name, &selector);
		if (rc == 0)
			rc = start_collection(ns, &ns->endpoints[i], OBJECT_ENDPOINTS, "/api/v1",
					      "endpoints", &selector);
		buffer_free(&selector);
	}
	if (rc < 0)
		stop_endpoints(ns);
	return rc;
}

/* ---- stand-ins ---- */

static int make_up(struct namespace_sync *ns)
{
	return made_up_services(ns->options->refs, ns->options->ref_count, ns->namespace, ns->store,
				&ns->made_up);
}

static void adjust(struct namespace_sync *ns)
{
	const struct reflector *services = &ns->services.reflector;
	const struct reflector *slices = &ns->slices.reflector;

	if (ns->options->discovery == SYNCER_AUTO) {
		if (!ns->endpoints && slices->contact == REFLECTOR_DENIED && !slices->synced) {
			log_info(ns->logger,
				 "namespace %s: EndpointSlices may not be read, using Endpoints",
				 ns->namespace);
			start_endpoints(ns);
		} else if (ns->endpoints && slices->synced) {
			log_info(ns->logger, "namespace %s: using EndpointSlices again",
				 ns->namespace);
			stop_endpoints(ns);
		}
	}
	if (!ns->options->follow_services)
		return;
	if (!ns->made_up && services->contact == REFLECTOR_DENIED && !services->synced) {
		log_info(ns->logger,
			 "namespace %s: Services may not be read, using the entries' own addresses",
			 ns->namespace);
		make_up(ns);
	} else if (ns->made_up && services->synced) {
		store_scope_close(ns->made_up);
		ns->made_up = NULL;
	}
}

/* ---- interface ---- */

int namespace_sync_start(struct namespace_sync *ns)
{
	int rc = store_new(&ns->store);

	if (rc == 0)
		store_set_logger(ns->store, ns->logger);
	if (rc == 0)
		rc = ns->options->follow_services ? start_services(ns) : make_up(ns);
	if (rc == 0)
		rc = ns->options->discovery == SYNCER_ENDPOINTS ? start_endpoints(ns)
								: start_slices(ns);
	return rc;
}

void namespace_sync_tick(struct namespace_sync *ns)
{
	adjust(ns);
	collection_tick(&ns->services);
	collection_tick(&ns->slices);
	for (unsigned i = 0; i < ns->endpoints_count; i++)
		collection_tick(&ns->endpoints[i]);
}

/* @stand_in: something else gives what this collection may not. */
static void add_collection(struct sync_state *state, const struct collection *collection,
			   bool stand_in)
{
	const struct reflector *reflector = &collection->reflector;
	bool hears = reflector->contact == REFLECTOR_HEARING;
	uint64_t due_ms;

	if (!collection->scope)
		return;
	due_ms = reflector_deadline_ms(reflector);
	state->synced &= reflector->synced || stand_in;
	state->attempted &= reflector->contact != REFLECTOR_NEW;
	state->live &= hears || stand_in;
	state->hears |= hears;
	if (!stand_in && reflector->last_heard_ms < state->heard_ms)
		state->heard_ms = reflector->last_heard_ms;
	if (due_ms < state->due_ms)
		state->due_ms = due_ms;
	if (!state->problem[0] && !stand_in)
		state->problem = reflector->problem;
}

struct sync_state namespace_sync_state(const struct namespace_sync *ns)
{
	struct sync_state state = {
		.synced = true,
		.attempted = true,
		.live = true,
		.services_known = ns->options->follow_services && !ns->made_up,
		.heard_ms = UINT64_MAX,
		.due_ms = UINT64_MAX,
		.problem = "",
	};

	add_collection(&state, &ns->services, ns->made_up != NULL);
	add_collection(&state, &ns->slices, ns->endpoints != NULL);
	for (unsigned i = 0; i < ns->endpoints_count; i++)
		add_collection(&state, &ns->endpoints[i], false);
	if (!state.synced || state.heard_ms == UINT64_MAX)
		state.heard_ms = 0;
	state.services_known &= state.synced;
	state.settled = state.attempted;
	return state;
}

void namespace_sync_stop(struct namespace_sync *ns)
{
	collection_stop(&ns->services);
	collection_stop(&ns->slices);
	stop_endpoints(ns);
	store_free(ns->store);
	free(ns->names);
}
