// SPDX-License-Identifier: Apache-2.0
/*
 * One state machine in one file, over 600 lines with its comments: each answer of the server has
 * its place here, and to see that none is forgotten they must stand together.
 *
 * Happy path: LIST in pages -> replace the collection -> WATCH from the list's resourceVersion ->
 * apply each event -> the server ends the watch after some minutes -> WATCH again at once.
 *
 * Failure modes, after facts of kube-apiserver and client-go's reflector:
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
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/reflector_path.h"

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

static void wait_then(struct reflector *r, enum reflector_next next, uint64_t pause_ms)
{
	r->state = REFLECTOR_WAITING;
	r->next = next;
	r->due_ms = now_ms(r) + pause_ms;
}

static void heard(struct reflector *r)
{
	r->last_heard_ms = now_ms(r);
	r->hearing = true;
	r->denied = false;
	if (r->problem[0]) {
		log_info(&r->logger, "%s %s: in contact again", what(r), r->collection_path);
		r->problem[0] = '\0';
	}
}

/* Skips a duration, as curl ends its messages: "... after 12 ms", "... after 5001 milliseconds". */
static const char *skip_duration(const char *text)
{
	static const char before[] = "after ";

	if (strncmp(text, before, sizeof(before) - 1) != 0)
		return text;
	text += sizeof(before) - 1;
	return text + strspn(text, "0123456789");
}

/* Whether they differ at most in how long a try lasted: that is never the same. */
static bool same_problem(const char *one, const char *other)
{
	for (;; one++, other++) {
		one = skip_duration(one);
		other = skip_duration(other);
		if (*one != *other)
			return false;
		if (!*one)
			return true;
	}
}

/* Notes a failure; the same one is told once, not at every try. */
__attribute__((format(printf, 2, 3))) static void trouble(struct reflector *r, const char *format,
							  ...)
{
	char problem[sizeof(r->problem)];
	va_list args;

	va_start(args, format);
	vsnprintf(problem, sizeof(problem), format, args);
	va_end(args);
	r->hearing = false;
	if (same_problem(problem, r->problem))
		return;
	memcpy(r->problem, problem, sizeof(problem));
	log_error(&r->logger, "%s %s: %s%s", what(r), r->collection_path, problem,
		  r->synced ? " (the last good state goes on to serve)" : "");
}

static void pause_and(struct reflector *r, enum reflector_next next)
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

static void pause_longest_and(struct reflector *r, enum reflector_next next)
{
	wait_then(r, next, backoff_cap(&r->backoff, now_ms(r), random_bits(r)));
}

/* Takes the one immediate second try that a kind of error is worth, if it was not used yet. */
static bool once_at_once(struct reflector *r, enum reflector_next next)
{
	if (r->retried_at_once)
		return false;
	r->retried_at_once = true;
	wait_then(r, next, 0);
	return true;
}

static void end_replacement(struct reflector *r)
{
	if (r->replacing)
		r->sink.replace_abort(r->sink.ctx);
	r->replacing = false;
	free(r->continue_token);
	r->continue_token = NULL;
}

static void close_stream(struct reflector *r)
{
	if (r->stream_open)
		json_stream_free(&r->stream);
	r->stream_open = false;
}

/* ---- objects ---- */

static int take_undecodable_item(struct reflector *r, const char *text, size_t size,
				 const char *problem)
{
	char namespace[DNS_LABEL_SIZE];
	char name[OBJECT_NAME_SIZE];
	int rc = json_decode_identity(text, size, namespace, name);

	if (rc < 0) {
		snprintf(r->stream_problem, sizeof(r->stream_problem), "%s", problem);
		return rc;
	}
	log_error(&r->logger, "%s %s/%s cannot be used, its last good state stays: %s", what(r),
		  namespace, name, problem);
	return r->sink.replace_keep(r->sink.ctx, namespace, name);
}

/* What is missing of an object that can be used all the same. */
static void log_gaps(const struct reflector *r, const struct object *object, unsigned skipped)
{
	if (skipped)
		log_error(&r->logger, "%s %s/%s: %u ports or addresses are not usable", what(r),
			  object->namespace, object->name, skipped);
	if (object->truncated)
		log_error(&r->logger,
			  "%s %s/%s lists only 1000 of its addresses: allow to read EndpointSlices",
			  what(r), object->namespace, object->name);
}

static int take_item(void *ctx, const char *text, size_t size)
{
	struct reflector *r = ctx;
	struct object object = {0};
	unsigned skipped = 0;
	char problem[160];
	int rc;

	if (r->list_form == REFLECTOR_LIST_PROBE)
		return 0;
	if (++r->list_items > REFLECTOR_ITEM_LIMIT) {
		snprintf(r->stream_problem, sizeof(r->stream_problem),
			 "the list has more than %u items", REFLECTOR_ITEM_LIMIT);
		return -E2BIG;
	}
	rc = json_decode_object(r->kind, text, size, &object, &skipped, problem, sizeof(problem));
	if (rc == -EBADMSG)
		return take_undecodable_item(r, text, size, problem);
	if (rc < 0)
		return rc;
	log_gaps(r, &object, skipped);
	if (r->single && !r->single_by_list)
		memcpy(r->resource_version, object.resource_version, sizeof(r->resource_version));
	rc = r->sink.replace_item(r->sink.ctx, &object);
	object_clear(&object);
	return rc;
}

/* Returns non-zero to end the watch. */
static int take_event(void *ctx, const char *text, size_t size)
{
	struct reflector *r = ctx;
	struct watch_event event;
	unsigned skipped = 0;
	char problem[160];
	int rc;

	memset(&event, 0, sizeof(event));
	rc = json_decode_watch_event(r->kind, text, size, &event, &skipped, problem,
				     sizeof(problem));
	if (rc == -EBADMSG) {
		/* As client-go: one bad event costs only itself. */
		log_error(&r->logger, "%s: an event cannot be used: %s", what(r), problem);
		return 0;
	}
	if (rc < 0)
		return rc;
	switch (event.type) {
	case WATCH_ADDED:
	case WATCH_MODIFIED:
		log_debug(&r->logger, "%s %s/%s changed, resourceVersion %s", what(r),
			  event.object.namespace, event.object.name, event.object.resource_version);
		log_gaps(r, &event.object, skipped);
		rc = r->sink.upsert(r->sink.ctx, &event.object);
		break;
	case WATCH_DELETED:
		log_debug(&r->logger, "%s %s/%s deleted", what(r), event.object.namespace,
			  event.object.name);
		r->sink.remove(r->sink.ctx, event.object.namespace, event.object.name);
		break;
	case WATCH_BOOKMARK:
		break;
	case WATCH_ERROR:
		r->got_error_event = true;
		r->error_event = event.status;
		rc = -ECANCELED;
		break;
	case WATCH_UNKNOWN:
		object_clear(&event.object);
		return 0;
	}
	/* The version moves only past what was applied: a lost event would be lost for good. */
	if (rc == 0) {
		r->watch_events++;
		r->events++;
		memcpy(r->resource_version, event.object.resource_version,
		       sizeof(r->resource_version));
	}
	object_clear(&event.object);
	return rc;
}

/* ---- requests ---- */

static void begin_request(struct reflector *r, enum reflector_state state, const char *path,
			  uint32_t total_timeout_ms)
{
	int rc;

	r->state = state;
	r->status = 0;
	r->retry_after_s = -1;
	r->stream_error = 0;
	r->stream_problem[0] = '\0';
	r->got_error_event = false;
	r->watch_events = 0;
	r->request_start_ms = now_ms(r);
	r->last_byte_ms = r->request_start_ms;
	buffer_clear(&r->error_body);
	log_debug(&r->logger, "GET %s", path);
	rc = r->io->start(r->io->ctx, r, path, total_timeout_ms);
	if (rc < 0)
		reflector_on_end(r, -EIO, strerror(-rc));
}

static void start_list(struct reflector *r)
{
	bool object_only = r->single && !r->single_by_list && r->list_form != REFLECTOR_LIST_PROBE;
	struct buffer path = {0};
	int rc = 0;

	if (!r->replacing && r->list_form != REFLECTOR_LIST_PROBE) {
		rc = r->sink.replace_begin(r->sink.ctx);
		r->replacing = rc == 0;
		r->list_items = 0;
		r->list_bytes = 0;
	}
	if (rc == 0)
		rc = reflector_list_path(r, &path);
	if (rc < 0) {
		trouble(r, "%s", strerror(-rc));
		end_replacement(r);
		pause_and(r, REFLECTOR_LIST_NEXT);
	} else {
		r->lists++;
		json_stream_init(&r->stream, object_only ? JSON_STREAM_OBJECT : JSON_STREAM_LIST,
				 take_item, r);
		r->stream_open = true;
		begin_request(r, REFLECTOR_LISTING, path.data, REFLECTOR_LIST_TOTAL_MS);
	}
	buffer_free(&path);
}

static void start_watch(struct reflector *r)
{
	uint32_t watch_s = REFLECTOR_WATCH_MIN_S + random_bits(r) % (REFLECTOR_WATCH_SPREAD_S + 1);
	struct buffer path = {0};
	int rc;

	if (r->must_probe) {
		r->list_form = REFLECTOR_LIST_PROBE;
		start_list(r);
		return;
	}
	rc = reflector_watch_path(r, watch_s, &path);
	if (rc < 0) {
		trouble(r, "%s", strerror(-rc));
		pause_and(r, REFLECTOR_WATCH_NEXT);
	} else {
		r->watches++;
		json_stream_init(&r->stream, JSON_STREAM_EVENTS, take_event, r);
		r->stream_open = true;
		begin_request(r, REFLECTOR_WATCHING, path.data,
			      watch_s * 1000 + REFLECTOR_WATCH_GRACE_MS);
	}
	buffer_free(&path);
}

/* ---- answers ---- */

/* The server's own words for a failure, from a Status or a plain text body. */
static void read_error_body(struct reflector *r, struct kube_status *ret_status)
{
	char ignored[80];

	memset(ret_status, 0, sizeof(*ret_status));
	ret_status->retry_after_s = -1;
	if (r->error_body.length == 0)
		return;
	if (json_decode_status(r->error_body.data, r->error_body.length, ret_status, ignored,
			       sizeof(ignored)) < 0)
		snprintf(ret_status->message, sizeof(ret_status->message), "%.*s", 120,
			 r->error_body.data);
}

static bool is_gone(int code, const char *reason)
{
	return code == 410 || strcmp(reason, "Expired") == 0 || strcmp(reason, "Gone") == 0;
}

/* What every refused request has in common; true when it was dealt with. */
static bool common_refusal(struct reflector *r, enum reflector_next next,
			   const struct kube_status *status)
{
	switch (r->status) {
	case 401:
		r->io->unauthorized(r->io->ctx);
		trouble(r, "401 Unauthorized: the token is not accepted");
		if (!once_at_once(r, next))
			pause_and(r, next);
		return true;
	case 429:
		trouble(r, "429 Too Many Requests");
		pause_and(r, next);
		return true;
	default:
		if (r->status < 500)
			return false;
		trouble(r, "%d %s", r->status, status->message);
		pause_and(r, next);
		return true;
	}
}

/* A probe that failed makes way for a whole list, which is right whatever has happened. */
static void leave_probe(struct reflector *r)
{
	if (r->list_form == REFLECTOR_LIST_PROBE)
		r->list_form = REFLECTOR_LIST_NOT_OLDER;
}

/* An empty collection, asked for again at the pace of a poll because nothing can be watched. */
static void single_is_absent(struct reflector *r)
{
	r->single_by_list = false;
	if (r->sink.replace_begin(r->sink.ctx) == 0)
		r->sink.replace_commit(r->sink.ctx);
	r->synced = true;
	heard(r);
	wait_then(r, REFLECTOR_LIST_NEXT, r->poll_interval_ms);
}

static void list_refused(struct reflector *r)
{
	bool paging = r->continue_token != NULL;
	bool probing = r->list_form == REFLECTOR_LIST_PROBE;
	struct kube_status status;

	read_error_body(r, &status);
	end_replacement(r);
	leave_probe(r);
	if (probing && (r->status == 403 || r->status == 404)) {
		/* Without the selector it may be forbidden where the list itself is not. */
		trouble(r, "%d %s", r->status, status.message);
		pause_and(r, REFLECTOR_LIST_NEXT);
		return;
	}
	if ((r->status == 403 || r->status == 404) && r->single && !r->single_by_list) {
		r->single_by_list = true;
		r->single_status = r->status;
		r->list_form = REFLECTOR_LIST_ANY;
		wait_then(r, REFLECTOR_LIST_NEXT, 0);
		return;
	}
	r->attempted = true;
	if (is_gone(r->status, status.reason)) {
		trouble(r, "410 the list's version is gone");
		if (paging && r->list_form != REFLECTOR_LIST_WHOLE)
			r->list_form = REFLECTOR_LIST_WHOLE;
		else
			r->list_form = REFLECTOR_LIST_QUORUM;
		if (!once_at_once(r, REFLECTOR_LIST_NEXT))
			pause_and(r, REFLECTOR_LIST_NEXT);
	} else if (status.resource_version_too_large) {
		trouble(r, "the server is older than our last version");
		r->list_form = REFLECTOR_LIST_QUORUM;
		if (!once_at_once(r, REFLECTOR_LIST_NEXT))
			pause_and(r, REFLECTOR_LIST_NEXT);
	} else if (common_refusal(r, REFLECTOR_LIST_NEXT, &status)) {
		return;
	} else {
		if (r->single_by_list && r->single_status == 404) {
			/* May be read by name only, and is not there: that is the answer. */
			single_is_absent(r);
			return;
		}
		if (r->single_by_list && r->single_status == 410) {
			/* May be read by name only, and cannot be watched from what that gives. */
			r->single_by_list = false;
			wait_then(r, REFLECTOR_LIST_NEXT, r->poll_interval_ms);
			return;
		}
		r->denied = r->status == 403 || r->status == 404;
		r->single_by_list = false;
		trouble(r, "%d %s", r->status, status.message);
		pause_longest_and(r, REFLECTOR_LIST_NEXT);
	}
}

static void list_failed(struct reflector *r, const char *problem)
{
	end_replacement(r);
	leave_probe(r);
	r->attempted = true;
	trouble(r, "%s", problem);
	/* A server that fails half-way through its pages must not be asked for the rest. */
	pause_and(r, REFLECTOR_LIST_NEXT);
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
	leave_probe(r);
	if (is_lower_version(version, r->resource_version)) {
		log_info(&r->logger, "%s %s: the server has gone back to version %s from %s",
			 what(r), r->collection_path, version, r->resource_version);
		r->list_form = REFLECTOR_LIST_QUORUM;
		start_list(r);
		return;
	}
	r->must_probe = false;
	start_watch(r);
}

static void list_complete(struct reflector *r)
{
	bool is_list = r->stream.form == JSON_STREAM_LIST;
	bool is_empty = r->stream.objects == 0;
	struct list_envelope envelope = {{0}, NULL};
	const char *text = NULL;
	size_t size = 0;
	char problem[160];
	int rc = json_stream_finish(&r->stream, &text, &size, problem, sizeof(problem));

	if (rc == 0 && is_list)
		rc = json_decode_list_envelope(r->kind, text, size, &envelope, problem,
					       sizeof(problem));
	close_stream(r);
	if (rc < 0) {
		list_failed(r, rc == -ENOMEM ? "out of memory" : problem);
		return;
	}
	if (r->list_form == REFLECTOR_LIST_PROBE) {
		free(envelope.continue_token);
		probe_complete(r, envelope.resource_version);
		return;
	}
	if (envelope.continue_token &&
	    (is_empty ||
	     (r->continue_token && strcmp(r->continue_token, envelope.continue_token) == 0))) {
		/* Else a broken server would be asked for page after page for ever. */
		free(envelope.continue_token);
		list_failed(r, "a page of the list leads nowhere");
		return;
	}
	free(r->continue_token);
	r->continue_token = envelope.continue_token;
	if (r->continue_token) {
		start_list(r);
		return;
	}
	if (!is_list && !r->resource_version[0]) {
		r->single_by_list = true;
		r->single_status = 410;
		list_failed(r, "the object cannot be used and gives no version to watch from");
		return;
	}
	if (is_list)
		memcpy(r->resource_version, envelope.resource_version, sizeof(r->resource_version));
	r->sink.replace_commit(r->sink.ctx);
	r->replacing = false;
	r->list_form = REFLECTOR_LIST_NOT_OLDER;
	r->retried_at_once = false;
	r->must_probe = false;
	if (r->single_status == 404)
		r->single_by_list = false;
	r->attempted = true;
	r->synced = true;
	heard(r);
	log_debug(&r->logger, "%s %s: %u listed at resourceVersion %s", what(r), r->collection_path,
		  r->list_items, r->resource_version);
	start_watch(r);
}

/* The version to watch from is too old: list. An object read by its name would only give that old
 * version again, the one of its last change; the list of its name has a fresh one. */
static void watch_version_gone(struct reflector *r)
{
	if (r->single && !r->single_by_list) {
		r->single_by_list = true;
		r->single_status = 410;
	}
	pause_and(r, REFLECTOR_LIST_NEXT);
}

static void watch_refused(struct reflector *r)
{
	struct kube_status status;

	read_error_body(r, &status);
	if (is_gone(r->status, status.reason)) {
		trouble(r, "410 the watch's version is gone");
		watch_version_gone(r);
	} else if (status.resource_version_too_large) {
		trouble(r, "the server is older than our last version");
		r->list_form = REFLECTOR_LIST_QUORUM;
		pause_and(r, REFLECTOR_LIST_NEXT);
	} else if (common_refusal(r, REFLECTOR_WATCH_NEXT, &status)) {
		return;
	} else {
		/* Lists are allowed and watches are not: poll. The list that preceded was good. */
		log_debug(&r->logger, "%s %s: no watch (%d %s), listing every %u s", what(r),
			  r->collection_path, r->status, status.message,
			  r->poll_interval_ms / 1000);
		heard(r);
		wait_then(r, REFLECTOR_LIST_NEXT, r->poll_interval_ms);
	}
}

static void watch_error_event(struct reflector *r)
{
	const struct kube_status *status = &r->error_event;

	r->retry_after_s = status->retry_after_s;
	trouble(r, "the watch ended: %d %s %s", status->code, status->reason, status->message);
	if (status->resource_version_too_large) {
		r->list_form = REFLECTOR_LIST_QUORUM;
		pause_and(r, REFLECTOR_LIST_NEXT);
	} else if (is_gone(status->code, status->reason)) {
		watch_version_gone(r);
	} else if (status->code == 429 || status->code == 503 || status->code == 504) {
		pause_and(r, REFLECTOR_WATCH_NEXT);
	} else {
		pause_and(r, REFLECTOR_LIST_NEXT);
	}
}

static void watch_ended(struct reflector *r, int error, const char *message)
{
	uint64_t lasted_ms = now_ms(r) - r->request_start_ms;

	if (r->got_error_event) {
		watch_error_event(r);
	} else if (r->stream_error) {
		trouble(r, "the watch is garbled: %s", r->stream_problem);
		pause_and(r, REFLECTOR_LIST_NEXT);
	} else if (r->status != 200 && r->status != 0) {
		watch_refused(r);
	} else if (r->status == 0) {
		trouble(r, "%s", error ? message : "no answer");
		r->must_probe = true;
		pause_and(r, REFLECTOR_WATCH_NEXT);
	} else if (lasted_ms < REFLECTOR_WATCH_SHORT_MS) {
		trouble(r, "the watch ended after %u ms: %s", (unsigned)lasted_ms,
			error ? message : "closed");
		r->must_probe |= error != 0;
		pause_and(r, r->watch_events ? REFLECTOR_WATCH_NEXT : REFLECTOR_LIST_NEXT);
	} else {
		if (error) {
			log_info(&r->logger, "%s %s: watch broke, watching again: %s", what(r),
				 r->collection_path, message);
			r->must_probe = true;
		}
		start_watch(r);
	}
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
	r->single = options->single ? strdup(options->single) : NULL;
	if (!r->collection_path || !r->selector || (options->single && !r->single)) {
		free(r->collection_path);
		free(r->selector);
		free(r->single);
		return -ENOMEM;
	}
	r->poll_interval_ms = options->poll_interval_ms;
	r->io = io;
	r->sink = *sink;
	r->logger = *logger;
	r->error_body.limit = REFLECTOR_ERROR_BODY_LIMIT;
	backoff_init(&r->backoff, options->retry_delay_ms);
	r->list_form = REFLECTOR_LIST_ANY;
	wait_then(r, REFLECTOR_LIST_NEXT, options->start_delay_ms);
	return 0;
}

static uint64_t idle_deadline_ms(const struct reflector *r)
{
	/* Until the header has come, a watch is as any request. */
	bool streaming = r->state == REFLECTOR_WATCHING && r->status == 200;

	return r->last_byte_ms + (streaming ? REFLECTOR_WATCH_IDLE_MS : REFLECTOR_LIST_IDLE_MS);
}

uint64_t reflector_deadline_ms(const struct reflector *r)
{
	switch (r->state) {
	case REFLECTOR_WAITING:
		return r->due_ms;
	case REFLECTOR_LISTING:
	case REFLECTOR_WATCHING:
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
		if (r->next == REFLECTOR_LIST_NEXT)
			start_list(r);
		else
			start_watch(r);
		break;
	case REFLECTOR_LISTING:
	case REFLECTOR_WATCHING:
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
	if (status == 200 && r->state == REFLECTOR_WATCHING) {
		r->retried_at_once = false;
		heard(r);
	}
}

int reflector_on_data(struct reflector *r, const char *data, size_t size)
{
	char problem[160] = "";
	int rc;

	r->last_byte_ms = now_ms(r);
	if (r->status != 200) {
		/* What does not fit is not needed for a message. */
		size_t room = REFLECTOR_ERROR_BODY_LIMIT - r->error_body.length;

		buffer_append(&r->error_body, data, size < room ? size : room);
		return room > size ? 0 : -ECANCELED;
	}
	r->list_bytes += size;
	if (r->state == REFLECTOR_LISTING && r->list_bytes > REFLECTOR_LIST_BYTES_LIMIT) {
		snprintf(problem, sizeof(problem), "the list is larger than %u bytes",
			 REFLECTOR_LIST_BYTES_LIMIT);
		rc = -E2BIG;
	} else {
		rc = json_stream_feed(&r->stream, data, size, problem, sizeof(problem));
	}
	if (rc < 0 && !r->got_error_event) {
		r->stream_error = rc;
		/* take_item() may have said better what is wrong. */
		if (!r->stream_problem[0])
			snprintf(r->stream_problem, sizeof(r->stream_problem), "%s",
				 problem[0] ? problem : strerror(-rc));
	}
	if (rc == 0 && r->state == REFLECTOR_WATCHING)
		r->last_heard_ms = r->last_byte_ms;
	return rc;
}

void reflector_on_end(struct reflector *r, int error, const char *message)
{
	if (r->state == REFLECTOR_WATCHING) {
		close_stream(r);
		watch_ended(r, error, message);
		return;
	}
	if (r->stream_error) {
		close_stream(r);
		list_failed(r, r->stream_problem);
	} else if (r->status != 200 && r->status != 0) {
		close_stream(r);
		list_refused(r);
	} else if (error || r->status == 0) {
		close_stream(r);
		list_failed(r, error ? message : "no answer");
	} else {
		list_complete(r);
	}
}

void reflector_stop(struct reflector *r)
{
	if (r->state == REFLECTOR_LISTING || r->state == REFLECTOR_WATCHING)
		r->io->cancel(r->io->ctx, r);
	r->state = REFLECTOR_STOPPED;
	end_replacement(r);
	close_stream(r);
	buffer_free(&r->error_body);
	free(r->collection_path);
	free(r->selector);
	free(r->single);
	r->collection_path = NULL;
	r->selector = NULL;
	r->single = NULL;
}
