// SPDX-License-Identifier: Apache-2.0
#include "pipeline/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/age.h"
#include "pipeline/location.h"
#include "pipeline/source.h"
#include "publish/writer.h"

#define FAILED_WAIT_PAUSE_MS 1000

struct pipeline {
	struct logger logger;
	struct source *source;
	struct location location;
	const struct service_ref *refs;
	unsigned ref_count;
	struct table_writer *writer;
	uint32_t max_age_s;
	bool (*may_publish)(void *ctx);
	void *may_publish_ctx;
	const struct interrupt *interrupt;
	uint64_t publishes;
	uint64_t lists_due_ms; /* until then nothing is asked */
	bool lists_begun;
	bool live;
	bool refused;
	bool published; /* by us: a shared table may have been there before */
	bool unpublished;
	bool expired;
	bool is_private; /* pipeline_is_private() */
	bool incomplete; /* a Service had no room in the table once */
	/* What failed in the last round, -errno: the same is told once, not in every round. */
	int put_failure;
	int publish_failure;
	struct log_once told;
};

/* The addresses of a headless Service go with any port of it. */
static bool covers_port(const struct pipeline *pipeline, const struct service_state *state,
			const struct selected_port *port)
{
	const struct service *service = state->service;

	for (unsigned i = 0; port->addresses && i < service->port_count; i++) {
		if (service_refs_cover_port(pipeline->refs, pipeline->ref_count, state->namespace,
					    state->name, service->ports[i].name,
					    service->ports[i].port))
			return true;
	}
	return !(port->addresses && service->port_count) &&
	       service_refs_cover_port(pipeline->refs, pipeline->ref_count, state->namespace,
				       state->name, port->name, port->port);
}

/* Ports that no entry asks for are kube-proxy's. A made-up Service has only what its entries say.
 */
static void drop_other_ports(const struct pipeline *pipeline, const struct service_state *state,
			     struct selection *selection)
{
	unsigned kept = 0;

	if (!state->service || state->service->made_up)
		return;
	for (unsigned i = 0; i < selection->port_count; i++) {
		struct selected_port *port = &selection->ports[i];

		if (covers_port(pipeline, state, port))
			selection->ports[kept++] = *port;
		else
			free(port->endpoints);
	}
	selection->port_count = kept;
}

/* Returns 0 or -errno. */
static int put_service(struct pipeline *pipeline, const struct service_state *state)
{
	struct selection selection = {0};
	int rc = select_endpoints(state, &pipeline->location.where, &selection);

	if (rc == 0) {
		drop_other_ports(pipeline, state, &selection);
		if (selection.left_out)
			log_once(&pipeline->told, &pipeline->logger, LOG_LEVEL_ERROR,
				 "Service %s/%s: too many endpoints for %u of its ports: their "
				 "connections are left to kube-proxy",
				 state->namespace, state->name, selection.left_out);
		rc = table_writer_put(pipeline->writer, state->namespace, state->name, &selection);
	}
	selection_clear(&selection);
	if (rc == -E2BIG)
		log_once(&pipeline->told, &pipeline->logger, LOG_LEVEL_ERROR,
			 "Service %s/%s: the table is full: its connections are left to kube-proxy",
			 state->namespace, state->name);
	pipeline->incomplete |= rc == -E2BIG;
	if (rc > 0 || rc == -E2BIG)
		pipeline->unpublished = true;
	return rc < 0 && rc != -E2BIG ? rc : 0;
}

static void log_location(const struct pipeline *pipeline)
{
	const struct location *location = &pipeline->location;

	log_info(&pipeline->logger, "this is node \"%s\" (%s), zone \"%s\" (%s)", location->node,
		 location->node[0]     ? location->node_evidence
		 : location->ambiguous ? "two were proved"
				       : "unknown",
		 location->zone, location->zone[0] ? location->zone_evidence : "unknown");
}

static void put_changed(struct pipeline *pipeline)
{
	const struct source_ops *ops = pipeline->source->ops;
	struct service_state state;

	while (ops->take_changed(pipeline->source, &state)) {
		int rc;

		if (location_observe(&pipeline->location, &state)) {
			log_location(pipeline);
			ops->touch_all(pipeline->source);
		}
		rc = put_service(pipeline, &state);
		if (rc < 0) {
			if (rc != pipeline->put_failure)
				log_error(&pipeline->logger, "Service %s/%s: %s", state.namespace,
					  state.name, strerror(-rc));
			pipeline->put_failure = rc;
			/* Its change was taken and would be lost: all of them again, next round. */
			ops->touch_all(pipeline->source);
			return;
		}
	}
	pipeline->put_failure = 0;
}

/* Says in the table of which namespaces it has every Service, ports and all. */
static void put_whole(struct pipeline *pipeline, bool services_known)
{
	for (unsigned i = 0; i < pipeline->ref_count; i++) {
		const struct service_ref *ref = &pipeline->refs[i];
		int rc;

		if (strcmp(ref->name, "*") != 0 || ref->port || ref->port_name[0])
			continue;
		rc = table_writer_put_whole(pipeline->writer, ref->namespace,
					    services_known && !pipeline->incomplete);
		if (rc > 0)
			pipeline->unpublished = true;
	}
}

static void tell_private(struct pipeline *pipeline, int rc)
{
	log_error(&pipeline->logger, "the shared table cannot be had: %s: this process has its own",
		  strerror(-rc));
	pipeline->is_private = true;
}

static void publish(struct pipeline *pipeline)
{
	struct table_writer_size size;
	int rc;

	if (pipeline->may_publish && !pipeline->may_publish(pipeline->may_publish_ctx)) {
		pipeline->refused = true;
		return;
	}
	rc = table_writer_publish(pipeline->writer);
	if (!pipeline->is_private && table_writer_not_shared(pipeline->writer) < 0)
		tell_private(pipeline, table_writer_not_shared(pipeline->writer));
	if (rc < 0) {
		/* Tried again in each round; the last snapshot goes on to serve. */
		if (rc != pipeline->publish_failure)
			log_error(&pipeline->logger, "the table cannot be published: %s",
				  strerror(-rc));
		pipeline->publish_failure = rc;
		return;
	}
	pipeline->publish_failure = 0;
	pipeline->unpublished = false;
	pipeline->published = true;
	pipeline->publishes++;
	size = table_writer_size(pipeline->writer);
	log_debug(&pipeline->logger, "table %llu: %u Services, %u ports, %u endpoints, %llu bytes",
		  (unsigned long long)size.generation, size.services, size.ports, size.endpoints,
		  (unsigned long long)size.bytes);
}

static struct sync_state state_of(const struct pipeline *pipeline)
{
	return pipeline->source->ops->state(pipeline->source);
}

/* When the API server was last heard of what the table says: by us, or by who wrote it before. */
static uint64_t last_heard_s(const struct pipeline *pipeline)
{
	/* A part of the lists makes nothing younger that was left. */
	if (!pipeline->published)
		return table_writer_heard_s(pipeline->writer);
	return clock_realtime_s() -
	       (clock_monotonic_ms() - state_of(pipeline).last_heard_ms) / 1000;
}

static void set_live(struct pipeline *pipeline, bool live)
{
	struct sync_state sync = state_of(pipeline);
	uint64_t heard_s = last_heard_s(pipeline);
	enum table_state state =
		age_of_table(live, clock_realtime_s(), heard_s, pipeline->max_age_s);

	if (!table_writer_view(pipeline->writer)) {
		/* In each round: by that the others know that the writer lives. */
		table_writer_set_state(pipeline->writer,
				       sync.attempted ? TABLE_FAILED : TABLE_UNHEARD, 0);
		return;
	}
	if (state == TABLE_EXPIRED && !pipeline->expired)
		log_error(&pipeline->logger,
			  "nothing heard for more than %u s: connections are left to kube-proxy",
			  pipeline->max_age_s);
	if (state != TABLE_EXPIRED && pipeline->expired)
		log_info(&pipeline->logger, "the API server is heard again");
	pipeline->expired = state == TABLE_EXPIRED;
	pipeline->live = live;
	if (state == TABLE_UNHEARD && (sync.problem[0] || !pipeline->lists_begun))
		state = TABLE_AWAY;
	table_writer_set_state(pipeline->writer, state, heard_s);
}

static void update_table(struct pipeline *pipeline)
{
	const struct sync_state sync = state_of(pipeline);

	if (pipeline->refused)
		return;
	if (!sync.synced || (!pipeline->published && !sync.settled)) {
		set_live(pipeline, false);
		return;
	}
	put_changed(pipeline);
	put_whole(pipeline, sync.services_known);
	/* "Not live" before the publish and "live" after it: nobody may take an old snapshot for a
	 * fresh one. */
	if (!sync.live)
		set_live(pipeline, false);
	if (pipeline->unpublished || !pipeline->published)
		publish(pipeline);
	/* What could not be published is not what readers see. */
	if (!pipeline->refused)
		set_live(pipeline, sync.live && !pipeline->unpublished);
}

/* Before: who is killed meanwhile has begun them. */
static void note_lists(struct pipeline *pipeline)
{
	if (pipeline->lists_begun || clock_monotonic_ms() < pipeline->lists_due_ms)
		return;
	pipeline->lists_begun = true;
	table_writer_begin_lists(pipeline->writer);
	/* Waiting for better is of use from now on. */
	set_live(pipeline, false);
}

int pipeline_new(const struct pipeline_options *options, const struct logger *logger,
		 struct pipeline **ret_pipeline, char *error, size_t error_size)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
	int rc;

	snprintf(error, error_size, "out of memory");
	if (!pipeline)
		return -ENOMEM;
	pipeline->logger = *logger;
	pipeline->refs = options->sync.refs;
	pipeline->ref_count = options->sync.ref_count;
	location_init(&pipeline->location, &options->location);
	if (pipeline->location.node[0] || pipeline->location.zone[0])
		log_location(pipeline);
	pipeline->max_age_s = options->max_age_s;
	pipeline->lists_due_ms = clock_monotonic_ms() + options->sync.start_delay_ms;
	pipeline->may_publish = options->may_publish;
	pipeline->may_publish_ctx = options->may_publish_ctx;
	pipeline->interrupt = options->interrupt;
	rc = table_writer_new(options->table_identity, &pipeline->writer);
	if (rc < 0 && options->table_identity) {
		tell_private(pipeline, rc);
		rc = table_writer_new(0, &pipeline->writer);
	}
	if (rc == 0 && options->new_region)
		table_writer_set_memory(pipeline->writer, options->new_region,
					options->new_region_ctx);
	if (rc == 0 && options->api_file[0])
		rc = file_source_new(options, logger, &pipeline->source, error, error_size);
	else if (rc == 0)
		rc = api_source_new(options, logger, &pipeline->source, error, error_size);
	if (rc < 0) {
		pipeline_free(pipeline);
		return rc;
	}
	note_lists(pipeline);
	set_live(pipeline, false);
	*ret_pipeline = pipeline;
	return 0;
}

/* poll() itself can fail for good: a sandbox that sets RLIMIT_NOFILE to 1 does that. Without a
 * pause the rounds would burn a CPU. */
static void pause_after_failed_wait(const struct pipeline *pipeline, int max_wait_ms)
{
	interrupt_pause(pipeline->interrupt, max_wait_ms < FAILED_WAIT_PAUSE_MS
						     ? (uint32_t)max_wait_ms
						     : FAILED_WAIT_PAUSE_MS);
}

/* A table says that it has expired when it does, whatever else is to be done then. */
static int until_expiry_ms(const struct pipeline *pipeline, int max_wait_ms)
{
	uint64_t age_s = clock_realtime_s() - last_heard_s(pipeline);

	if (pipeline->live || !pipeline->max_age_s || age_s > pipeline->max_age_s ||
	    (pipeline->max_age_s - age_s + 1) * 1000 > (uint64_t)max_wait_ms)
		return max_wait_ms;
	return (int)(pipeline->max_age_s - age_s + 1) * 1000;
}

void pipeline_run(struct pipeline *pipeline, int max_wait_ms)
{
	note_lists(pipeline);
	max_wait_ms = until_expiry_ms(pipeline, max_wait_ms);
	if (pipeline->source->ops->run(pipeline->source, max_wait_ms, pipeline->interrupt) < 0)
		pause_after_failed_wait(pipeline, max_wait_ms);
	update_table(pipeline);
}

const struct table_view *pipeline_view(const struct pipeline *pipeline)
{
	return pipeline->expired && !pipeline->published ? NULL
							 : table_writer_view(pipeline->writer);
}

bool pipeline_is_private(const struct pipeline *pipeline)
{
	return pipeline->is_private;
}

bool pipeline_attempted(const struct pipeline *pipeline)
{
	return state_of(pipeline).attempted;
}

struct pipeline_state pipeline_state(const struct pipeline *pipeline)
{
	struct table_writer_size size = table_writer_size(pipeline->writer);

	return (struct pipeline_state){
		.generation = size.generation,
		.services = size.services,
		.ports = size.ports,
		.endpoints = size.endpoints,
		.bytes = size.bytes,
		.publishes = pipeline->publishes,
		.heard_s = last_heard_s(pipeline),
		.live = pipeline->live,
		.requests = pipeline->source->requests,
		.errors = pipeline->source->errors,
	};
}

bool pipeline_hears(const struct pipeline *pipeline)
{
	return state_of(pipeline).hears;
}

const char *pipeline_problem(const struct pipeline *pipeline)
{
	return state_of(pipeline).problem;
}

bool pipeline_was_refused(const struct pipeline *pipeline)
{
	return pipeline->refused;
}

void pipeline_abandon(struct pipeline *pipeline)
{
	pipeline->source->ops->free(pipeline->source);
	table_writer_abandon(pipeline->writer);
	free(pipeline);
}

void pipeline_wakeup(struct pipeline *pipeline)
{
	pipeline->source->ops->wakeup(pipeline->source);
}

void pipeline_free(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	if (pipeline->source)
		pipeline->source->ops->free(pipeline->source);
	table_writer_free(pipeline->writer);
	free(pipeline);
}
