// SPDX-License-Identifier: Apache-2.0
#include "pipeline/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kube/http.h"

#define USER_AGENT "k8slb/" K8SLB_VERSION

/* The request of one reflector. */
struct request {
	struct api_source *source;
	struct reflector *reflector;
	struct http_transfer *transfer;
	bool failed;
	struct request *next;
};

struct api_source {
	struct source source; /* first: a struct source is cast back */
	struct credentials *credentials;
	struct http_client *http;
	struct sync_io io;
	struct syncer *syncer;
	struct request *requests;
	struct logger outer;  /* the one that was given */
	struct logger logger; /* the same without our token */
	char told[512];	      /* the problem of the credentials that was logged last */
};

static struct api_source *of(struct source *source)
{
	return (struct api_source *)source;
}

/* ---- the world of lib/sync ---- */

/* A server, or a proxy before it, may tell back in its answer what it was sent. */
static void write_without_token(void *ctx, enum log_level level, const char *line)
{
	struct api_source *api = ctx;
	char text[LOG_LINE_SIZE];

	snprintf(text, sizeof(text), "%s", line);
	credentials_conceal(api->credentials, text);
	api->outer.write(api->outer.ctx, level, text);
}

static void io_conceal(void *ctx, char *text)
{
	struct api_source *api = ctx;

	credentials_conceal(api->credentials, text);
}

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
	struct api_source *source = ctx;

	credentials_forget_token(source->credentials);
}

static void forget_request(struct request *request)
{
	struct request **link = &request->source->requests;

	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	free(request);
}

static void on_status(void *ctx, int status, long retry_after_s)
{
	struct request *request = ctx;

	request->failed = status >= 400;
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

	if (request->failed || error)
		request->source->source.errors++;
	/* First: the reflector starts its next request from here. */
	forget_request(request);
	reflector_on_end(reflector, error, message);
}

static int io_start(void *ctx, struct reflector *reflector, const char *path,
		    uint32_t total_timeout_ms)
{
	struct api_source *source = ctx;
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
	request->source = source;
	request->reflector = reflector;
	rc = http_client_get(source->http, path, (long)total_timeout_ms, &handler,
			     &request->transfer);
	if (rc < 0) {
		free(request);
		return rc;
	}
	request->next = source->requests;
	source->requests = request;
	source->source.requests++;
	return 0;
}

static void io_cancel(void *ctx, struct reflector *reflector)
{
	struct api_source *source = ctx;

	for (struct request *request = source->requests; request; request = request->next) {
		if (request->reflector == reflector) {
			http_client_cancel(source->http, request->transfer);
			forget_request(request);
			return;
		}
	}
}

/* ---- source ---- */

/* What is wrong with a file of ours explains a 401 or 403 better than the server can. */
static void log_credentials_problem(struct api_source *api)
{
	const char *problem = credentials_problem(api->credentials);

	if (strcmp(problem, api->told) == 0)
		return;
	snprintf(api->told, sizeof(api->told), "%s", problem);
	if (problem[0])
		log_error(&api->logger, "%s", problem);
	else
		log_info(&api->logger, "the credentials can be read again");
}

static int api_run(struct source *source, int max_wait_ms, const struct interrupt *interrupt)
{
	struct api_source *api = of(source);
	uint64_t now_ms;
	uint64_t due_ms;
	int rc;

	syncer_tick(api->syncer);
	now_ms = clock_monotonic_ms();
	due_ms = syncer_state(api->syncer).due_ms;
	if (due_ms <= now_ms)
		max_wait_ms = 0;
	else if (due_ms - now_ms < (uint64_t)max_wait_ms)
		max_wait_ms = (int)(due_ms - now_ms);
	rc = http_client_run(api->http, max_wait_ms, interrupt);
	/* Again: a refusal may have called for a stand-in, which must be tried before the first
	 * table counts as complete. */
	syncer_tick(api->syncer);
	log_credentials_problem(api);
	return rc;
}

static bool api_take_changed(struct source *source, struct service_state *ret_state)
{
	return syncer_take_changed(of(source)->syncer, ret_state);
}

static void api_touch_all(struct source *source)
{
	syncer_touch_all(of(source)->syncer);
}

static struct sync_state api_state(const struct source *source)
{
	const struct api_source *api = (const struct api_source *)source;
	struct sync_state state = syncer_state(api->syncer);
	const char *problem = credentials_problem(api->credentials);

	if (problem[0])
		state.problem = problem;
	return state;
}

static bool api_part(const struct source *source, unsigned number, struct sync_part *ret_part)
{
	return syncer_part(((const struct api_source *)source)->syncer, number, ret_part);
}

static void api_wakeup(struct source *source)
{
	http_client_wakeup(of(source)->http);
}

static void api_free(struct source *source)
{
	struct api_source *api = of(source);

	syncer_free(api->syncer);
	http_client_free(api->http);
	credentials_free(api->credentials);
	free(api);
}

static const struct source_ops api_ops = {
	.run = api_run,
	.take_changed = api_take_changed,
	.touch_all = api_touch_all,
	.state = api_state,
	.part = api_part,
	.wakeup = api_wakeup,
	.free = api_free,
};

int api_source_new(const struct pipeline_options *options, const struct logger *logger,
		   struct source **ret_source, char *error, size_t error_size)
{
	struct api_source *api = calloc(1, sizeof(*api));
	struct http_options http_options = {
		.base_url = options->api_url,
		.user_agent = USER_AGENT,
	};
	int rc;

	snprintf(error, error_size, "out of memory");
	if (!api)
		return -ENOMEM;
	api->source.ops = &api_ops;
	api->outer = *logger;
	api->logger = (struct logger){
		.level = logger->level,
		.write = logger->write ? write_without_token : NULL,
		.ctx = api,
	};
	api->io = (struct sync_io){
		.now_ms = io_now_ms,
		.random = io_random,
		.start = io_start,
		.cancel = io_cancel,
		.unauthorized = io_unauthorized,
		.conceal = io_conceal,
		.ctx = api,
	};
	rc = credentials_new(&options->credentials, &api->credentials);
	if (rc == 0) {
		http_options.credentials = api->credentials;
		rc = http_client_new(&http_options, &api->http, error, error_size);
	}
	if (rc == 0)
		rc = syncer_new(&options->sync, &api->io, &api->logger, &api->syncer);
	if (rc < 0) {
		api_free(&api->source);
		return rc;
	}
	*ret_source = &api->source;
	return 0;
}
