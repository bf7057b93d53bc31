// SPDX-License-Identifier: Apache-2.0
/*
 * Happy path: LIST in pages -> replace the collection -> WATCH from the list's resourceVersion ->
 * apply each event -> the server ends the watch after some minutes -> WATCH again at once.
 *
 * Failure modes, after facts of kube-apiserver and client-go's reflector. What the server refuses
 * is judged by reflector_refusal.c:
 *   a list fails in any way       the collection stays as it was; wait, list again
 *   the version is too old (410)  list "not older than" the last version
 *   the version is from the future (504, or found by a probe after a restore of etcd)
 *                                 list without any version
 *   a continue token is too old   one list without pages
 *   the token is refused (401)    read it again, try once at once
 *   forbidden or absent (403/404) wait the longest pause: only a person can mend that
 *   told to wait (Retry-After)    wait that long, or the backoff if it is longer
 *   a watch breaks                watch again from the last version; never a list for that alone,
 *                                 but a probe of one item when the connection was lost
 *   a watch breaks at once        wait first: else a broken server would be asked in a hot loop
 */
#include "sync/reflector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "sync/reflector_contact.h"
#include "sync/reflector_path.h"
#include "sync/reflector_refusal.h"
#include "sync/reflector_take.h"

static uint64_t now_ms(const struct reflector *r)
{
	return r->io->now_ms(r->io->ctx);
}

static uint32_t random_bits(const struct reflector *r)
{
	return r->io->random(r->io->ctx);
}

static const char *what(const struct reflector *r)
{
	return object_kind_name(r->kind);
}

/* ---- pauses ---- */

static void wait_then(struct reflector *r, enum reflector_request next, uint64_t pause_ms)
{
	r->state = REFLECTOR_WAITING;
	r->request = next;
	r->due_ms = now_ms(r) + pause_ms;
}

static void pause_and(struct reflector *r, enum reflector_request next)
{
	uint64_t pause_ms = backoff_next(&r->backoff, now_ms(r), random_bits(r));

	if (r->retry_after_s > 0) {
		uint64_t asked_ms = (uint64_t)(r->retry_after_s > REFLECTOR_RETRY_AFTER_MAX_S
						       ? REFLECTOR_RETRY_AFTER_MAX_S
						       : r->retry_after_s) *
				    1000;

		if (asked_ms > pause_ms)
			pause_ms = asked_ms;
	}
	wait_then(r, next, pause_ms);
}

static void obey(struct reflector *r, const struct refusal *refusal)
{
	if (refusal->unauthorized)
		r->io->unauthorized(r->io->ctx);
	if (refusal->contact != REFLECTOR_HEARING)
		reflector_trouble(r, "%s", refusal->problem);
	r->contact = refusal->contact;
	switch (refusal->wait) {
	case REFUSAL_ONCE_AT_ONCE:
		if (r->retried_at_once)
			pause_and(r, refusal->next);
		else
			wait_then(r, refusal->next, 0);
		r->retried_at_once = true;
		break;
	case REFUSAL_PAUSE:
		pause_and(r, refusal->next);
		break;
	case REFUSAL_LONGEST:
		wait_then(r, refusal->next, backoff_cap(&r->backoff, now_ms(r), random_bits(r)));
		break;
	case REFUSAL_POLL:
		log_debug(&r->logger, "%s %s: no watch (%s), listing every %u s", what(r),
			  r->collection_path, refusal->problem, r->sync_interval_ms / 1000);
		reflector_heard(r);
		wait_then(r, refusal->next, r->sync_interval_ms);
		break;
	}
}

/* The refusal of the request that ended, by the server's own words: a Status, or plain text. */
static struct refusal read_refusal(const struct reflector *r)
{
	struct kube_status said = {.retry_after_s = -1};
	char ignored[80];

	if (r->error_body.length && json_decode_status(r->error_body.data, r->error_body.length,
						       &said, ignored, sizeof(ignored)) < 0)
		snprintf(said.message, sizeof(said.message), "%.*s", 120, r->error_body.data);
	return refusal_of_answer(r->request, r->continue_token != NULL, r->status, &said);
}

/* ---- requests ---- */

static void begin_request(struct reflector *r, const char *path, uint32_t total_timeout_ms)
{
	int rc;

	reflector_take_begin(r);
	r->state = REFLECTOR_RUNNING;
	r->status = 0;
	r->retry_after_s = -1;
	r->request_start_ms = now_ms(r);
	r->last_byte_ms = r->request_start_ms;
	log_debug(&r->logger, "GET %s", path);
	rc = r->io->start(r->io->ctx, r, path, total_timeout_ms);
	if (rc < 0)
		reflector_on_end(r, -EIO, strerror(-rc));
}

/* A list's first page has begun the replacement. */
static void end_replacement(struct reflector *r)
{
	if (r->request != REFLECTOR_PROBE)
		r->sink.replace_abort(r->sink.ctx);
	free(r->continue_token);
	r->continue_token = NULL;
}

static void start_list(struct reflector *r, enum reflector_request request)
{
	struct buffer path = {0};
	int rc = 0;

	r->request = request;
	if (!r->continue_token) {
		r->list_items = 0;
		r->list_bytes = 0;
		if (request != REFLECTOR_PROBE)
			rc = r->sink.replace_begin(r->sink.ctx);
	}
	if (rc == 0) {
		rc = reflector_list_path(r, &path);
		if (rc < 0)
			end_replacement(r);
	}
	if (rc < 0) {
		reflector_trouble(r, "%s", strerror(-rc));
		pause_and(r, refusal_again(request));
	} else {
		begin_request(r, path.data, REFLECTOR_LIST_TOTAL_MS);
	}
	buffer_free(&path);
}

static void start_watch(struct reflector *r)
{
	uint32_t watch_s = REFLECTOR_WATCH_MIN_S + random_bits(r) % (REFLECTOR_WATCH_SPREAD_S + 1);
	struct buffer path = {0};
	int rc = reflector_watch_path(r, watch_s, &path);

	r->request = REFLECTOR_WATCH;
	if (rc < 0) {
		reflector_trouble(r, "%s", strerror(-rc));
		pause_and(r, REFLECTOR_WATCH);
	} else {
		begin_request(r, path.data, watch_s * 1000 + REFLECTOR_WATCH_GRACE_MS);
	}
	buffer_free(&path);
}

/* ---- answers ---- */

static void list_refused(struct reflector *r)
{
	struct refusal refusal = read_refusal(r);

	end_replacement(r);
	obey(r, &refusal);
}

static void list_failed(struct reflector *r, const char *problem)
{
	end_replacement(r);
	reflector_trouble(r, "%s", problem);
	/* A server that fails half-way through its pages must not be asked for the rest. */
	pause_and(r, refusal_again(r->request));
}

/* Versions of built-in resources are comparable integers (KEP-5504); of anything else nothing is
 * known. */
static bool is_lower_version(const char *version, const char *than)
{
	size_t length = strlen(version);
	size_t than_length = strlen(than);

	if (strspn(version, "0123456789") != length || strspn(than, "0123456789") != than_length)
		return false;
	return length == than_length ? strcmp(version, than) < 0 : length < than_length;
}

static void probe_complete(struct reflector *r, const char *version)
{
	if (!r->resource_version || !is_lower_version(version, r->resource_version)) {
		start_watch(r);
		return;
	}
	log_info(&r->logger, "%s %s: the server has gone back to version %s from %s", what(r),
		 r->collection_path, version, r->resource_version);
	start_list(r, REFLECTOR_LIST_QUORUM);
}

/* The last page is in. Takes @version over. */
static void list_complete(struct reflector *r, char *version)
{
	free(r->resource_version);
	r->resource_version = version;
	r->sink.replace_commit(r->sink.ctx);
	r->retried_at_once = false;
	r->synced = true;
	reflector_heard(r);
	log_debug(&r->logger, "%s %s: %u listed at resourceVersion %s", what(r), r->collection_path,
		  r->list_items, r->resource_version);
	start_watch(r);
}

static void page_complete(struct reflector *r)
{
	bool is_empty = r->stream.objects == 0;
	struct list_envelope envelope = {.continue_token = NULL};
	const char *text = NULL;
	size_t size = 0;
	char problem[160];
	int rc = json_stream_finish(&r->stream, &text, &size, problem, sizeof(problem));
	char *token;

	if (rc == 0)
		rc = json_decode_list_envelope(r->kind, text, size, &envelope, problem,
					       sizeof(problem));
	json_stream_free(&r->stream);
	if (rc < 0) {
		list_failed(r, rc == -ENOMEM ? "out of memory" : problem);
		return;
	}
	token = envelope.continue_token;
	if (r->request == REFLECTOR_PROBE) {
		probe_complete(r, envelope.resource_version);
		list_envelope_free(&envelope);
		return;
	}
	if (token && (is_empty || (r->continue_token && strcmp(r->continue_token, token) == 0))) {
		/* Else a broken server would be asked for page after page for ever. */
		list_envelope_free(&envelope);
		list_failed(r, "a page of the list leads nowhere");
		return;
	}
	free(r->continue_token);
	r->continue_token = token;
	if (token) {
		free(envelope.resource_version);
		start_list(r, r->request);
	} else {
		list_complete(r, envelope.resource_version);
	}
}

static void watch_refused(struct reflector *r)
{
	struct refusal refusal = read_refusal(r);

	obey(r, &refusal);
}

static void watch_error_event(struct reflector *r)
{
	struct refusal refusal = refusal_of_event(&r->error_event);

	r->retry_after_s = r->error_event.retry_after_s;
	obey(r, &refusal);
}

static void watch_broke(struct reflector *r, int error, const char *message)
{
	uint64_t lasted_ms = now_ms(r) - r->request_start_ms;
	enum reflector_request next = error ? REFLECTOR_PROBE : REFLECTOR_WATCH;

	if (lasted_ms < REFLECTOR_WATCH_SHORT_MS) {
		reflector_trouble(r, "the watch ended after %u ms: %s", (unsigned)lasted_ms,
				  error ? message : "closed");
		pause_and(r, r->watch_events ? next : REFLECTOR_LIST_NOT_OLDER);
	} else if (error) {
		log_info(&r->logger, "%s %s: watch broke, watching again: %s", what(r),
			 r->collection_path, message);
		start_list(r, REFLECTOR_PROBE);
	} else {
		start_watch(r);
	}
}

/* A server that has much to tell is heard again at once; one that floods us, when the time for so
 * much is over. */
static void watch_is_full(struct reflector *r)
{
	uint64_t lasted_ms = now_ms(r) - r->request_start_ms;

	if (lasted_ms >= LIMIT_WATCH_MS) {
		start_watch(r);
		return;
	}
	r->contact = REFLECTOR_LOST;
	log_once(&r->told, &r->logger, LOG_LEVEL_ERROR,
		 "%s %s: a watch sends %u bytes or %u events in less than %u s: the rest waits",
		 what(r), r->collection_path, LIMIT_WATCH_BYTES, LIMIT_WATCH_EVENTS,
		 LIMIT_WATCH_MS / 1000);
	wait_then(r, REFLECTOR_WATCH, LIMIT_WATCH_MS - lasted_ms);
}

static void watch_ended(struct reflector *r, int error, const char *message)
{
	json_stream_free(&r->stream);
	if (r->body == REFLECTOR_BODY_ERROR_EVENT) {
		watch_error_event(r);
	} else if (r->body == REFLECTOR_BODY_FULL) {
		watch_is_full(r);
	} else if (r->body == REFLECTOR_BODY_BAD) {
		reflector_trouble(r, "the watch is garbled: %s", r->body_problem);
		pause_and(r, REFLECTOR_LIST_NOT_OLDER);
	} else if (r->status == 0) {
		reflector_trouble(r, "%s", error ? message : "no answer");
		pause_and(r, REFLECTOR_PROBE);
	} else if (r->status != 200) {
		watch_refused(r);
	} else {
		watch_broke(r, error, message);
	}
}

static void list_ended(struct reflector *r, int error, const char *message)
{
	if (r->body == REFLECTOR_BODY_GOOD && r->status == 200 && !error) {
		page_complete(r);
		return;
	}
	json_stream_free(&r->stream);
	if (r->body == REFLECTOR_BODY_BAD)
		list_failed(r, r->body_problem);
	else if (r->status != 200 && r->status != 0)
		list_refused(r);
	else
		list_failed(r, error ? message : "no answer");
}

/* ---- interface ---- */

int reflector_init(struct reflector *r, const struct reflector_options *options,
		   const struct sync_io *io, const struct reflector_sink *sink,
		   const struct logger *logger)
{
	memset(r, 0, sizeof(*r));
	r->kind = options->kind;
	r->collection_path = strdup(options->collection_path);
	r->selector = strdup(options->selector);
	if (!r->collection_path || !r->selector) {
		free(r->collection_path);
		free(r->selector);
		return -ENOMEM;
	}
	r->sync_interval_ms = options->sync_interval_ms;
	r->io = io;
	r->sink = *sink;
	r->logger = *logger;
	r->error_body.limit = REFLECTOR_ERROR_BODY_LIMIT;
	backoff_init(&r->backoff, options->retry_delay_ms);
	wait_then(r, REFLECTOR_LIST_ANY, options->start_delay_ms);
	return 0;
}

static uint64_t idle_deadline_ms(const struct reflector *r)
{
	/* Until the header has come, a watch is as any request. */
	bool streaming = r->request == REFLECTOR_WATCH && r->status == 200;

	return r->last_byte_ms + (streaming ? REFLECTOR_WATCH_IDLE_MS : REFLECTOR_LIST_IDLE_MS);
}

uint64_t reflector_deadline_ms(const struct reflector *r)
{
	switch (r->state) {
	case REFLECTOR_WAITING:
		return r->due_ms;
	case REFLECTOR_RUNNING:
		return idle_deadline_ms(r);
	case REFLECTOR_STOPPED:
		break;
	}
	return UINT64_MAX;
}

void reflector_tick(struct reflector *r)
{
	if (now_ms(r) < reflector_deadline_ms(r))
		return;
	switch (r->state) {
	case REFLECTOR_WAITING:
		if (r->request == REFLECTOR_WATCH)
			start_watch(r);
		else
			start_list(r, r->request);
		break;
	case REFLECTOR_RUNNING:
		r->io->cancel(r->io->ctx, r);
		reflector_on_end(r, -ETIMEDOUT, "the server fell silent");
		break;
	case REFLECTOR_STOPPED:
		break;
	}
}

void reflector_on_status(struct reflector *r, int status, long retry_after_s)
{
	r->status = status;
	r->retry_after_s = retry_after_s;
	r->last_byte_ms = now_ms(r);
	if (status == 200 && r->request == REFLECTOR_WATCH) {
		r->retried_at_once = false;
		reflector_heard(r);
	}
}

int reflector_on_data(struct reflector *r, const char *data, size_t size)
{
	int rc;

	r->last_byte_ms = now_ms(r);
	rc = reflector_take(r, data, size);
	if (rc == 0 && r->status == 200 && r->request == REFLECTOR_WATCH)
		r->last_heard_ms = r->last_byte_ms;
	return rc;
}

void reflector_on_end(struct reflector *r, int error, const char *message)
{
	if (r->request == REFLECTOR_WATCH)
		watch_ended(r, error, message);
	else
		list_ended(r, error, message);
}

void reflector_stop(struct reflector *r)
{
	if (r->state == REFLECTOR_RUNNING) {
		r->io->cancel(r->io->ctx, r);
		if (r->request != REFLECTOR_WATCH)
			end_replacement(r);
	}
	r->state = REFLECTOR_STOPPED;
	json_stream_free(&r->stream);
	buffer_free(&r->error_body);
	free(r->collection_path);
	free(r->selector);
	free(r->resource_version);
	r->collection_path = NULL;
	r->selector = NULL;
	r->resource_version = NULL;
}
