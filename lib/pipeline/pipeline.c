// SPDX-License-Identifier: Apache-2.0
#include "pipeline/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "pipeline/place.h"
#include "pipeline/source.h"
#include "table/writer.h"

#define FAILED_WAIT_PAUSE_MS 1000

struct pipeline {
	struct logger logger;
	struct source *source;
	struct place place;
	const struct service_ref *refs;
	unsigned ref_count;
	struct table_writer *writer;
	bool unpublished;
};

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

		if (service_refs_cover_port(pipeline->refs, pipeline->ref_count, state->namespace,
					    state->name, port->name, port->port))
			selection->ports[kept++] = *port;
		else
			free(port->endpoints);
	}
	selection->port_count = kept;
}

static void put_changed(struct pipeline *pipeline)
{
	const struct source_ops *ops = pipeline->source->ops;
	struct service_state state;

	while (ops->take_changed(pipeline->source, &state)) {
		struct selection selection = {0};
		int rc;

		if (place_observe(&pipeline->place, &state)) {
			log_info(&pipeline->logger, "this is node \"%s\", zone \"%s\"",
				 pipeline->place.node, pipeline->place.zone);
			ops->touch_all(pipeline->source);
		}
		rc = select_endpoints(&state, &pipeline->place.where, &selection);
		if (rc == 0)
			drop_other_ports(pipeline, &state, &selection);
		if (rc == 0)
			rc = table_writer_put(pipeline->writer, state.namespace, state.name,
					      &selection);
		selection_clear(&selection);
		if (rc > 0)
			pipeline->unpublished = true;
		if (rc < 0) {
			log_error(&pipeline->logger, "Service %s/%s: %s", state.namespace,
				  state.name, strerror(-rc));
			/* Its change was taken and would be lost: all of them again, next round. */
			ops->touch_all(pipeline->source);
			return;
		}
	}
}

static void publish(struct pipeline *pipeline)
{
	struct table_writer_size size;
	int rc = table_writer_publish(pipeline->writer);

	if (rc < 0) {
		/* Tried again in each round; the last snapshot goes on to serve. */
		log_error(&pipeline->logger, "the table cannot be published: %s", strerror(-rc));
		return;
	}
	pipeline->unpublished = false;
	size = table_writer_size(pipeline->writer);
	log_debug(&pipeline->logger, "table %llu: %u Services, %u ports, %u endpoints, %llu bytes",
		  (unsigned long long)size.generation, size.services, size.ports, size.endpoints,
		  (unsigned long long)size.bytes);
}

static void update_table(struct pipeline *pipeline)
{
	const struct source *source = pipeline->source;
	bool first = table_writer_view(pipeline->writer) == NULL;
	uint64_t silence_ms;
	uint64_t heard_s;
	bool live;

	if (!source->ops->synced(source) || (first && !source->ops->attempted(source)))
		return;
	put_changed(pipeline);
	silence_ms = clock_monotonic_ms() - source->ops->last_heard_ms(source);
	heard_s = clock_realtime_s() - silence_ms / 1000;
	live = source->ops->live(source);
	/* "Not live" before the publish and "live" after it: nobody may take an old snapshot for a
	 * fresh one. */
	if (!live)
		table_writer_set_live(pipeline->writer, false, heard_s);
	if (pipeline->unpublished || first)
		publish(pipeline);
	/* What could not be published is not what readers see. */
	table_writer_set_live(pipeline->writer, live && !pipeline->unpublished, heard_s);
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
	place_init(&pipeline->place, &options->place);
	rc = table_writer_new(&pipeline->writer);
	if (rc == 0 && options->api_file[0])
		rc = file_source_new(options, logger, &pipeline->source, error, error_size);
	else if (rc == 0)
		rc = api_source_new(options, logger, &pipeline->source, error, error_size);
	if (rc < 0) {
		pipeline_free(pipeline);
		return rc;
	}
	*ret_pipeline = pipeline;
	return 0;
}

/* poll() itself can fail for good: a sandbox that sets RLIMIT_NOFILE to 1 does that. Without a
 * pause the rounds would burn a CPU. */
static void pause_after_failed_wait(int max_wait_ms)
{
	int pause_ms = max_wait_ms < FAILED_WAIT_PAUSE_MS ? max_wait_ms : FAILED_WAIT_PAUSE_MS;
	struct timespec pause = {.tv_sec = pause_ms / 1000,
				 .tv_nsec = (long)(pause_ms % 1000) * 1000000};

	nanosleep(&pause, NULL);
}

void pipeline_run(struct pipeline *pipeline, int max_wait_ms)
{
	if (pipeline->source->ops->run(pipeline->source, max_wait_ms) < 0)
		pause_after_failed_wait(max_wait_ms);
	update_table(pipeline);
}

const struct table_view *pipeline_view(const struct pipeline *pipeline)
{
	return table_writer_view(pipeline->writer);
}

bool pipeline_attempted(const struct pipeline *pipeline)
{
	return pipeline->source->ops->attempted(pipeline->source);
}

const char *pipeline_problem(const struct pipeline *pipeline)
{
	return pipeline->source->ops->problem(pipeline->source);
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
