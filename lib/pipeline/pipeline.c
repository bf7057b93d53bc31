// SPDX-License-Identifier: Apache-2.0
#include "pipeline/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/location.h"
#include "pipeline/source.h"
#include "publish/writer.h"

#define FAILED_WAIT_PAUSE_MS 1000
/* A table of which no beat is seen for TABLE_SILENT_MS is not believed. */
#define BEAT_MS	     1000
/* Services with something left out that are named in one round: they are put in again and again, and
 * all of them would be most of the log. */
#define NAMED_MOST   16
#define PUT_AGAIN_MS 10000
/* Bookmarks of a quiet watch come once a minute (REFLECTOR_WATCH_IDLE_MS), and may be late. */
#define QUIET_WATCH_S 90

/* Of what the source follows, by its number. */
struct part {
	uint64_t heard_ms;    /* the source's word, monotonic */
	uint64_t heard_at_ms; /* the same of CLOCK_REALTIME, which goes on while a machine sleeps */
	bool expired;
};

struct pipeline {
	struct logger logger;
	struct source *source;
	struct location location;
	const struct service_ref *refs;
	unsigned ref_count;
	struct table_writer *writer;
	uint32_t max_age_s;
	struct part parts[TABLE_PARTS];
	int (*may_write)(void *ctx);
	void *may_write_ctx;
	const struct interrupt *interrupt;
	uint64_t publishes;
	uint64_t lists_due_ms; /* until then nothing is asked */
	bool lists_begun;
	bool live;
	bool refused;
	bool published; /* by us: a shared table may have been there before */
	bool unpublished;
	bool is_private;	  /* pipeline_is_private() */
	unsigned left_out;	  /* Services that had no room in the table */
	unsigned named;		  /* Services that were told to lack something, this round */
	uint64_t put_in_again_ms; /* they are tried again then */
	uint64_t publish_failures;
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
		selection.part = state->part;
		drop_other_ports(pipeline, state, &selection);
		if (selection.left_out && pipeline->named++ < NAMED_MOST)
			log_once(&pipeline->told, &pipeline->logger, LOG_LEVEL_ERROR,
				 "Service %s/%s: too many endpoints for %u of its ports: their "
				 "connections are left to kube-proxy",
				 state->namespace, state->name, selection.left_out);
		rc = table_writer_put(pipeline->writer, state->namespace, state->name, &selection);
	}
	selection_clear(&selection);
	pipeline->left_out += rc == -E2BIG;
	if (rc == -E2BIG && pipeline->named++ < NAMED_MOST)
		log_once(&pipeline->told, &pipeline->logger, LOG_LEVEL_ERROR,
			 "Service %s/%s: the table is full: its connections are left to kube-proxy",
			 state->namespace, state->name);
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

/* There may be room by now, of which their own changes would tell nothing. All are given again: who
 * had no room is counted anew. */
static void put_left_out_again(struct pipeline *pipeline)
{
	uint64_t now_ms = clock_monotonic_ms();

	if (!pipeline->left_out || now_ms < pipeline->put_in_again_ms)
		return;
	pipeline->left_out = 0;
	pipeline->put_in_again_ms = now_ms + PUT_AGAIN_MS;
	pipeline->source->ops->touch_all(pipeline->source);
}

static void put_changed(struct pipeline *pipeline)
{
	const struct source_ops *ops = pipeline->source->ops;
	struct service_state state;

	pipeline->named = 0;
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
	if (pipeline->left_out > NAMED_MOST)
		log_once(&pipeline->told, &pipeline->logger, LOG_LEVEL_ERROR,
			 "%u Services are left out: the table is full: their connections are left "
			 "to kube-proxy",
			 pipeline->left_out);
}

/* The number of a namespace among the parts. */
static unsigned part_of(const struct pipeline *pipeline, const char *namespace)
{
	const struct source *source = pipeline->source;
	struct sync_part part;

	for (unsigned n = 0; source->ops->part(source, n, &part); n++) {
		if (strcmp(part.namespace, namespace) == 0)
			return n;
	}
	return 0; /* one of all namespaces */
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
					    part_of(pipeline, ref->namespace),
					    services_known && !pipeline->left_out);
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

/* Nothing is written from the moment on at which another one may. */
static bool may_write(struct pipeline *pipeline, bool *ret_surely)
{
	int rc = pipeline->may_write ? pipeline->may_write(pipeline->may_write_ctx) : 0;

	*ret_surely = rc == 0;
	pipeline->refused |= rc == -ESTALE;
	return !pipeline->refused;
}

static struct sync_state state_of(const struct pipeline *pipeline)
{
	return pipeline->source->ops->state(pipeline->source);
}

/* How long ago a part was heard of: the longer one of what two clocks say. */
static uint64_t unheard_ms(const struct part *part)
{
	uint64_t age_ms = clock_monotonic_ms() - part->heard_ms;
	uint64_t now_ms = clock_realtime_coarse_ms();

	if (now_ms > part->heard_at_ms && now_ms - part->heard_at_ms > age_ms)
		age_ms = now_ms - part->heard_at_ms;
	return age_ms;
}

/* What is to be said of it: never 0, which is of a part of which nothing is published. */
static uint64_t note_part(struct part *part, uint64_t heard_ms)
{
	uint64_t now_ms = clock_coarse_ms();
	uint64_t age_ms;

	if (heard_ms != part->heard_ms)
		part->heard_at_ms = clock_realtime_coarse_ms() - (clock_monotonic_ms() - heard_ms);
	part->heard_ms = heard_ms;
	if (!heard_ms)
		return 0;
	age_ms = unheard_ms(part);
	return age_ms < now_ms ? now_ms - age_ms : 1;
}

/* When the API server was last heard of each part of what is published. Of what could not be
 * published, and of what another one has left, it stays. */
static void note_heard(struct pipeline *pipeline)
{
	const struct source *source = pipeline->source;
	struct sync_part part;

	for (unsigned n = 0; n < TABLE_PARTS; n++)
		table_writer_set_heard(pipeline->writer, n, 0);
	for (unsigned n = 0; source->ops->part(source, n, &part); n++) {
		struct part *own = &pipeline->parts[n < TABLE_PARTS ? n : TABLE_PARTS - 1];

		table_writer_set_heard(pipeline->writer, n, note_part(own, part.heard_ms));
	}
}

static void publish(struct pipeline *pipeline)
{
	struct table_writer_size size;
	bool surely;
	int rc;

	if (!may_write(pipeline, &surely) || !surely)
		return;
	note_heard(pipeline);
	rc = table_writer_publish(pipeline->writer);
	if (!pipeline->is_private && table_writer_not_shared(pipeline->writer) < 0)
		tell_private(pipeline, table_writer_not_shared(pipeline->writer));
	if (rc < 0) {
		/* Tried again in each round; the last snapshot goes on to serve. */
		if (rc != pipeline->publish_failure)
			log_error(&pipeline->logger, "the table cannot be published: %s",
				  strerror(-rc));
		pipeline->publish_failure = rc;
		pipeline->publish_failures++;
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

/* Readers see it by themselves. */
static void tell_expired(struct pipeline *pipeline)
{
	const struct table_view *view = table_writer_view(pipeline->writer);
	const struct source *source = pipeline->source;
	struct sync_part part;

	for (unsigned n = 0; n < TABLE_PARTS && source->ops->part(source, n, &part); n++) {
		uint64_t age_ms = table_part_unheard_ms(view, n);
		bool expired =
			view->max_age_ms && age_ms > view->max_age_ms && age_ms != UINT64_MAX;

		if (expired && !pipeline->parts[n].expired)
			log_error(&pipeline->logger,
				  "namespace %s: nothing heard for more than %u s: connections are "
				  "left to kube-proxy",
				  part.namespace, pipeline->max_age_s);
		if (!expired && pipeline->parts[n].expired)
			log_info(&pipeline->logger, "namespace %s: the API server is heard again",
				 part.namespace);
		pipeline->parts[n].expired = expired;
	}
}

/* Once a round: the others know by that that the writer lives. */
static void beat(struct pipeline *pipeline, bool live)
{
	struct sync_state sync = state_of(pipeline);
	bool away = sync.problem[0] || !pipeline->lists_begun;
	uint64_t now_ms = clock_coarse_ms();
	bool surely;

	if (!may_write(pipeline, &surely))
		return;
	if (!table_writer_view(pipeline->writer)) {
		table_writer_beat(pipeline->writer, sync.attempted ? TABLE_FAILED : TABLE_UNHEARD,
				  now_ms);
		return;
	}
	pipeline->live = live;
	table_writer_beat(pipeline->writer,
			  live	 ? TABLE_LIVE
			  : away ? TABLE_AWAY
				 : TABLE_UNHEARD,
			  now_ms);
	tell_expired(pipeline);
}

static void update_table(struct pipeline *pipeline)
{
	const struct sync_state sync = state_of(pipeline);

	if (pipeline->refused)
		return;
	if (!sync.synced || (!pipeline->published && !sync.settled)) {
		beat(pipeline, false);
		return;
	}
	put_left_out_again(pipeline);
	put_changed(pipeline);
	put_whole(pipeline, sync.services_known);
	/* "Not live" before the publish and "live" after it: nobody may take an old snapshot for a
	 * fresh one. */
	if (!sync.live)
		beat(pipeline, false);
	if (pipeline->unpublished || !pipeline->published)
		publish(pipeline);
	if (pipeline->published && !pipeline->unpublished)
		note_heard(pipeline);
	/* What could not be published is not what readers see. */
	beat(pipeline, sync.live && !pipeline->unpublished);
}

/* Before: who is killed meanwhile has begun them. */
static void note_lists(struct pipeline *pipeline)
{
	if (pipeline->lists_begun || clock_monotonic_ms() < pipeline->lists_due_ms)
		return;
	pipeline->lists_begun = true;
	table_writer_begin_lists(pipeline->writer);
	/* Waiting for better is of use from now on. */
	beat(pipeline, false);
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
	pipeline->may_write = options->may_write;
	pipeline->may_write_ctx = options->may_write_ctx;
	pipeline->interrupt = options->interrupt;
	rc = table_writer_new(options->table_identity, &pipeline->writer);
	if (rc < 0 && options->table_identity) {
		tell_private(pipeline, rc);
		rc = table_writer_new(0, &pipeline->writer);
	}
	for (unsigned i = 0; rc == 0 && i < pipeline->ref_count; i++) {
		if (strcmp(pipeline->refs[i].namespace, "*") == 0)
			table_writer_limit_namespaces(pipeline->writer);
	}
	if (rc == 0 && options->ages)
		table_writer_set_ages(pipeline->writer, 1000 * (uint64_t)options->max_age_s);
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
	if (options->ages && options->max_age_s && options->max_age_s < QUIET_WATCH_S)
		log_info(logger,
			 "what is %u s old is not believed: a quiet watch says a word once a "
			 "minute, "
			 "and is left to kube-proxy in between",
			 options->max_age_s);
	note_lists(pipeline);
	beat(pipeline, false);
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

void pipeline_run(struct pipeline *pipeline, int max_wait_ms)
{
	note_lists(pipeline);
	if (max_wait_ms > BEAT_MS)
		max_wait_ms = BEAT_MS;
	if (pipeline->source->ops->run(pipeline->source, max_wait_ms, pipeline->interrupt) < 0)
		pause_after_failed_wait(pipeline, max_wait_ms);
	update_table(pipeline);
}

const struct table_view *pipeline_view(const struct pipeline *pipeline)
{
	const struct table_view *view = table_writer_view(pipeline->writer);

	return view && !pipeline->published && !table_is_believable(view) ? NULL : view;
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
		.unheard_ms =
			table_age_ms(table_writer_heard_ms(pipeline->writer), clock_coarse_ms()),
		.live = pipeline->live,
		.left_out = pipeline->left_out,
		.publish_failure = pipeline->publish_failure,
		.publish_failures = pipeline->publish_failures,
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
