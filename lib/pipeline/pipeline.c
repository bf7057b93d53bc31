// SPDX-License-Identifier: Apache-2.0
#include "pipeline/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kube/http.h"
#include "table/writer.h"

#define USER_AGENT "k8slb/" K8SLB_VERSION

/* The request of one reflector. */
struct request {
	struct pipeline *pipeline;
	struct reflector *reflector;
	struct http_transfer *transfer;
	struct request *next;
};

struct pipeline {
	struct logger logger;
	struct credentials *credentials;
	struct http_client *http;
	struct sync_io io;
	struct syncer *syncer;
	struct select_place place;
	struct table_writer *writer;
	struct request *requests;
	bool unpublished;
};

/* ---- the world of lib/sync ---- */

static uint64_t io_now_ms(void *ctx)
{
	(void)ctx;
	return clock_monotonic_ms();
}

static uint32_t io_random(void *ctx)
{
	(void)ctx;
	return (uint32_t)random_u64();
}

static void io_unauthorized(void *ctx)
{
	struct pipeline *pipeline = ctx;

	credentials_forget_token(pipeline->credentials);
}

static void forget_request(struct request *request)
{
	struct request **link = &request->pipeline->requests;

	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	free(request);
}

static void on_status(void *ctx, int status, long retry_after_s)
{
	struct request *request = ctx;

	reflector_on_status(request->reflector, status, retry_after_s);
}

static int on_data(void *ctx, const char *data, size_t size)
{
	struct request *request = ctx;

	return reflector_on_data(request->reflector, data, size);
}

static void on_end(void *ctx, int error, const char *message)
{
	struct request *request = ctx;
	struct reflector *reflector = request->reflector;

	/* First: the reflector starts its next request from here. */
	forget_request(request);
	reflector_on_end(reflector, error, message);
}

static int io_start(void *ctx, struct reflector *reflector, const char *path,
		    uint32_t total_timeout_ms)
{
	struct pipeline *pipeline = ctx;
	struct request *request = calloc(1, sizeof(*request));
	struct http_handler handler = {
		.on_status = on_status,
		.on_data = on_data,
		.on_end = on_end,
		.ctx = request,
	};
	int rc;

	if (!request)
		return -ENOMEM;
	request->pipeline = pipeline;
	request->reflector = reflector;
	rc = http_client_get(pipeline->http, path, (long)total_timeout_ms, &handler,
			     &request->transfer);
	if (rc < 0) {
		free(request);
		return rc;
	}
	request->next = pipeline->requests;
	pipeline->requests = request;
	return 0;
}

static void io_cancel(void *ctx, struct reflector *reflector)
{
	struct pipeline *pipeline = ctx;

	for (struct request *request = pipeline->requests; request; request = request->next) {
		if (request->reflector == reflector) {
			http_client_cancel(pipeline->http, request->transfer);
			forget_request(request);
			return;
		}
	}
}

/* ---- select and publish ---- */

static void put_changed(struct pipeline *pipeline)
{
	struct service_state state;

	while (syncer_take_changed(pipeline->syncer, &state)) {
		struct selection selection = {0};
		int rc = select_endpoints(&state, &pipeline->place, &selection);

		if (rc == 0)
			rc = table_writer_put(pipeline->writer, state.namespace, state.name,
					      &selection);
		selection_clear(&selection);
		if (rc < 0)
			log_error(&pipeline->logger, "Service %s/%s: %s", state.namespace,
				  state.name, strerror(-rc));
		else if (rc > 0)
			pipeline->unpublished = true;
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
	bool first = table_writer_view(pipeline->writer) == NULL;
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t heard_ms = syncer_last_heard_ms(pipeline->syncer);

	if (!syncer_synced(pipeline->syncer) || (first && !syncer_attempted(pipeline->syncer)))
		return;
	put_changed(pipeline);
	/* Before the publish: nobody may take an old snapshot for a fresh one. */
	table_writer_set_live(pipeline->writer, syncer_live(pipeline->syncer),
			      clock_realtime_s() - (now_ms - heard_ms) / 1000);
	if (pipeline->unpublished || first)
		publish(pipeline);
}

/* ---- interface ---- */

int pipeline_new(const struct pipeline_options *options, const struct logger *logger,
		 struct pipeline **ret_pipeline, char *error, size_t error_size)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
	struct http_options http_options = {
		.base_url = options->api_url,
		.user_agent = USER_AGENT,
		.own_fd_table = options->own_fd_table,
	};
	int rc;

	if (!pipeline) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	pipeline->logger = *logger;
	pipeline->place = options->place;
	pipeline->io = (struct sync_io){
		.now_ms = io_now_ms,
		.random = io_random,
		.start = io_start,
		.cancel = io_cancel,
		.unauthorized = io_unauthorized,
		.ctx = pipeline,
	};
	snprintf(error, error_size, "out of memory");
	rc = credentials_new(&options->credentials, &pipeline->credentials);
	if (rc == 0) {
		http_options.credentials = pipeline->credentials;
		rc = http_client_new(&http_options, &pipeline->http, error, error_size);
	}
	if (rc == 0)
		rc = table_writer_new(&pipeline->writer);
	if (rc == 0)
		rc = syncer_new(&options->sync, &pipeline->io, logger, &pipeline->syncer);
	if (rc < 0) {
		pipeline_free(pipeline);
		return rc;
	}
	*ret_pipeline = pipeline;
	return 0;
}

static int wait_ms(const struct pipeline *pipeline, int max_wait_ms)
{
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t due_ms = syncer_deadline_ms(pipeline->syncer);

	if (due_ms <= now_ms)
		return 0;
	return due_ms - now_ms < (uint64_t)max_wait_ms ? (int)(due_ms - now_ms) : max_wait_ms;
}

void pipeline_run(struct pipeline *pipeline, int max_wait_ms)
{
	syncer_tick(pipeline->syncer);
	http_client_run(pipeline->http, wait_ms(pipeline, max_wait_ms));
	/* Again: a refusal may have called for a stand-in, which must be tried before the first
	 * table counts as complete. */
	syncer_tick(pipeline->syncer);
	update_table(pipeline);
}

const struct table_view *pipeline_view(const struct pipeline *pipeline)
{
	return table_writer_view(pipeline->writer);
}

bool pipeline_attempted(const struct pipeline *pipeline)
{
	return syncer_attempted(pipeline->syncer);
}

const char *pipeline_problem(const struct pipeline *pipeline)
{
	const char *problem = syncer_problem(pipeline->syncer);

	return problem[0] ? problem : credentials_problem(pipeline->credentials);
}

void pipeline_wakeup(struct pipeline *pipeline)
{
	http_client_wakeup(pipeline->http);
}

void pipeline_free(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	syncer_free(pipeline->syncer);
	http_client_free(pipeline->http);
	credentials_free(pipeline->credentials);
	table_writer_free(pipeline->writer);
	free(pipeline);
}
