// SPDX-License-Identifier: Apache-2.0
#include "sync/syncer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/collection.h"
#include "sync/made_up.h"
#include "sync/selector.h"

/* What is followed in one namespace ("*": in all). */
struct namespace_sync {
	struct syncer *syncer;
	const char *namespace;
	bool all;	    /* an entry asks for every Service */
	const char **names; /* else: those, each once */
	unsigned name_count;
	struct collection services;
	struct collection slices;
	struct collection *endpoints; /* one a name, or one for all */
	unsigned endpoints_count;
	struct store_scope *made_up; /* stand-ins for Services that may not be read */
	struct store *store;
};

struct syncer {
	struct syncer_options options;
	const struct sync_io *io;
	struct logger logger;
	struct namespace_sync *namespaces;
	unsigned namespace_count;
	uint64_t settled_ms; /* what is not in by then is not waited for */
};

/* ---- what to ask for ---- */

static bool is_wanted(void *ctx, const char *namespace, const char *service)
{
	const struct namespace_sync *ns = ctx;
	const struct syncer_options *options = &ns->syncer->options;

	return service_refs_cover(options->refs, options->ref_count, namespace, service);
}

/* ---- collections ---- */

static int start_collection(struct namespace_sync *ns, struct collection *collection,
			    enum object_kind kind, const char *group_version, const char *resource,
			    const struct buffer *selector)
{
	struct syncer *syncer = ns->syncer;
	struct buffer path = {0};
	struct collection_options options = {
		.store = ns->store,
		.wanted = is_wanted,
		.owner = ns,
		.io = syncer->io,
		.logger = &syncer->logger,
		.reflector =
			{
				.kind = kind,
				.selector = selector->data,
				.retry_delay_ms = syncer->options.retry_delay_ms,
				.poll_interval_ms = syncer->options.poll_interval_ms,
				.start_delay_ms = syncer->options.start_delay_ms,
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

/* ---- one namespace ---- */

static int make_up(struct namespace_sync *ns)
{
	const struct syncer_options *options = &ns->syncer->options;

	return made_up_services(options->refs, options->ref_count, ns->namespace, ns->store,
				&ns->made_up);
}

static int namespace_start(struct namespace_sync *ns)
{
	const struct syncer_options *options = &ns->syncer->options;
	int rc = store_new(&ns->store);

	if (rc == 0)
		rc = options->follow_services ? start_services(ns) : make_up(ns);
	if (rc == 0)
		rc = options->discovery == SYNCER_ENDPOINTS ? start_endpoints(ns)
							    : start_slices(ns);
	return rc;
}

/* Switches to and from the stand-ins as the server allows and forbids. */
static void namespace_adjust(struct namespace_sync *ns)
{
	const struct reflector *services = &ns->services.reflector;
	const struct reflector *slices = &ns->slices.reflector;

	if (ns->syncer->options.discovery == SYNCER_AUTO) {
		if (!ns->endpoints && slices->contact == REFLECTOR_DENIED && !slices->synced) {
			log_info(&ns->syncer->logger,
				 "namespace %s: EndpointSlices may not be read, using Endpoints",
				 ns->namespace);
			start_endpoints(ns);
		} else if (ns->endpoints && slices->synced) {
			log_info(&ns->syncer->logger, "namespace %s: using EndpointSlices again",
				 ns->namespace);
			stop_endpoints(ns);
		}
	}
	if (!ns->syncer->options.follow_services)
		return;
	if (!ns->made_up && services->contact == REFLECTOR_DENIED && !services->synced) {
		log_info(&ns->syncer->logger,
			 "namespace %s: Services may not be read, using the entries' own addresses",
			 ns->namespace);
		make_up(ns);
	} else if (ns->made_up && services->synced) {
		store_scope_close(ns->made_up);
		ns->made_up = NULL;
	}
}

/* Calls @visit for the collections of the namespace that run, until it returns false. */
static bool for_each_of(const struct namespace_sync *ns,
			bool (*visit)(const struct namespace_sync *ns,
				      const struct collection *collection, void *ctx),
			void *ctx)
{
	if (ns->services.scope && !visit(ns, &ns->services, ctx))
		return false;
	if (ns->slices.scope && !visit(ns, &ns->slices, ctx))
		return false;
	for (unsigned i = 0; i < ns->endpoints_count; i++) {
		if (!visit(ns, &ns->endpoints[i], ctx))
			return false;
	}
	return true;
}

static bool for_each_collection(const struct syncer *syncer,
				bool (*visit)(const struct namespace_sync *ns,
					      const struct collection *collection, void *ctx),
				void *ctx)
{
	for (unsigned n = 0; n < syncer->namespace_count; n++) {
		if (!for_each_of(&syncer->namespaces[n], visit, ctx))
			return false;
	}
	return true;
}

/* Something else gives what this collection may not. */
static bool has_stand_in(const struct namespace_sync *ns, const struct collection *collection)
{
	if (collection == &ns->services)
		return ns->made_up != NULL;
	return collection == &ns->slices && ns->endpoints != NULL;
}

static bool visit_synced(const struct namespace_sync *ns, const struct collection *collection,
			 void *ctx)
{
	(void)ctx;
	return collection->reflector.synced || has_stand_in(ns, collection);
}

static bool namespace_synced(const struct namespace_sync *ns)
{
	return for_each_of(ns, visit_synced, NULL);
}

static bool visit_attempted(const struct namespace_sync *ns, const struct collection *collection,
			    void *ctx)
{
	(void)ns;
	(void)ctx;
	return collection->reflector.contact != REFLECTOR_NEW;
}

static bool visit_live(const struct namespace_sync *ns, const struct collection *collection,
		       void *ctx)
{
	(void)ctx;
	return collection->reflector.contact == REFLECTOR_HEARING || has_stand_in(ns, collection);
}

static bool visit_deadline(const struct namespace_sync *ns, const struct collection *collection,
			   void *ctx)
{
	uint64_t *earliest_ms = ctx;
	uint64_t due_ms = reflector_deadline_ms(&collection->reflector);

	(void)ns;
	if (due_ms < *earliest_ms)
		*earliest_ms = due_ms;
	return true;
}

static bool visit_last_heard(const struct namespace_sync *ns, const struct collection *collection,
			     void *ctx)
{
	uint64_t *latest_ms = ctx;

	(void)ns;
	if (collection->reflector.last_heard_ms > *latest_ms)
		*latest_ms = collection->reflector.last_heard_ms;
	return true;
}

static bool visit_deaf(const struct namespace_sync *ns, const struct collection *collection,
		       void *unused)
{
	(void)ns;
	(void)unused;
	return collection->reflector.contact != REFLECTOR_HEARING;
}

static bool visit_problem(const struct namespace_sync *ns, const struct collection *collection,
			  void *ctx)
{
	const char **problem = ctx;

	if (has_stand_in(ns, collection) || !collection->reflector.problem[0])
		return true;
	*problem = collection->reflector.problem;
	return false;
}

/* ---- interface ---- */

static struct namespace_sync *namespace_of(struct syncer *syncer, const char *namespace)
{
	for (unsigned i = 0; i < syncer->namespace_count; i++) {
		if (strcmp(syncer->namespaces[i].namespace, namespace) == 0)
			return &syncer->namespaces[i];
	}
	syncer->namespaces[syncer->namespace_count].syncer = syncer;
	syncer->namespaces[syncer->namespace_count].namespace = namespace;
	return &syncer->namespaces[syncer->namespace_count++];
}

static int namespace_add_name(struct namespace_sync *ns, const char *name)
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

		rc = namespace_add_name(namespace_of(syncer, everywhere ? "*" : ref->namespace),
					everywhere ? "*" : ref->name);
	}
	for (unsigned i = 0; rc == 0 && i < syncer->namespace_count; i++)
		rc = namespace_start(&syncer->namespaces[i]);
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
	for (unsigned n = 0; n < syncer->namespace_count; n++) {
		struct namespace_sync *ns = &syncer->namespaces[n];

		namespace_adjust(ns);
		collection_tick(&ns->services);
		collection_tick(&ns->slices);
		for (unsigned i = 0; i < ns->endpoints_count; i++)
			collection_tick(&ns->endpoints[i]);
	}
}

uint64_t syncer_deadline_ms(const struct syncer *syncer)
{
	uint64_t earliest_ms = UINT64_MAX;

	for_each_collection(syncer, visit_deadline, &earliest_ms);
	if (!syncer_settled(syncer) && syncer->settled_ms < earliest_ms)
		earliest_ms = syncer->settled_ms;
	return earliest_ms;
}

bool syncer_take_changed(struct syncer *syncer, struct service_state *ret_state)
{
	for (unsigned n = 0; n < syncer->namespace_count; n++) {
		const struct namespace_sync *ns = &syncer->namespaces[n];

		if (namespace_synced(ns) && store_take_changed(ns->store, ret_state))
			return true;
	}
	return false;
}

void syncer_touch_all(struct syncer *syncer)
{
	for (unsigned n = 0; n < syncer->namespace_count; n++)
		store_touch_all(syncer->namespaces[n].store);
}

bool syncer_synced(const struct syncer *syncer)
{
	for (unsigned n = 0; n < syncer->namespace_count; n++) {
		if (namespace_synced(&syncer->namespaces[n]))
			return true;
	}
	return false;
}

bool syncer_attempted(const struct syncer *syncer)
{
	return for_each_collection(syncer, visit_attempted, NULL);
}

bool syncer_settled(const struct syncer *syncer)
{
	return syncer_attempted(syncer) ||
	       syncer->io->now_ms(syncer->io->ctx) >= syncer->settled_ms;
}

bool syncer_live(const struct syncer *syncer)
{
	for (unsigned n = 0; n < syncer->namespace_count; n++) {
		const struct namespace_sync *ns = &syncer->namespaces[n];

		if (namespace_synced(ns) && !for_each_of(ns, visit_live, NULL))
			return false;
	}
	return syncer_synced(syncer);
}

uint64_t syncer_last_heard_ms(const struct syncer *syncer)
{
	uint64_t latest_ms = 0;

	for_each_collection(syncer, visit_last_heard, &latest_ms);
	return latest_ms;
}

bool syncer_hears(const struct syncer *syncer)
{
	return !for_each_collection(syncer, visit_deaf, NULL);
}

const char *syncer_problem(const struct syncer *syncer)
{
	const char *problem = "";

	for_each_collection(syncer, visit_problem, &problem);
	return problem;
}

void syncer_free(struct syncer *syncer)
{
	if (!syncer)
		return;
	for (unsigned n = 0; n < syncer->namespace_count; n++) {
		struct namespace_sync *ns = &syncer->namespaces[n];

		collection_stop(&ns->services);
		collection_stop(&ns->slices);
		stop_endpoints(ns);
		store_free(ns->store);
		free(ns->names);
	}
	free(syncer->namespaces);
	free(syncer);
}
