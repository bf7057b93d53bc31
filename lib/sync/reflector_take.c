// SPDX-License-Identifier: Apache-2.0
#include "sync/reflector_take.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "sync/gaps.h"

static int take_undecodable_item(struct reflector *r, const char *text, size_t size,
				 const char *problem)
{
	char namespace[DNS_LABEL_SIZE];
	char name[OBJECT_NAME_SIZE];
	int rc = json_decode_identity(text, size, namespace, name);

	if (rc < 0) {
		snprintf(r->body_problem, sizeof(r->body_problem), "%s", problem);
		return rc;
	}
	log_once(&r->told, &r->logger, LOG_LEVEL_ERROR,
		 "%s %s/%s cannot be used, its last good state stays: %s",
		 object_kind_name(r->kind), namespace, name, problem);
	return r->sink.replace_keep(r->sink.ctx, namespace, name);
}

static int take_item(void *ctx, const char *text, size_t size)
{
	struct reflector *r = ctx;
	struct object object = {0};
	struct json_gaps gaps;
	char problem[160];
	int rc;

	if (r->request == REFLECTOR_PROBE)
		return 0;
	r->list_items++;
	rc = json_decode_object(r->kind, text, size, &object, &gaps, problem, sizeof(problem));
	if (rc == -EBADMSG)
		return take_undecodable_item(r, text, size, problem);
	if (rc == -E2BIG) {
		log_once(&r->told, &r->logger, LOG_LEVEL_ERROR, "%s: an item cannot be used: %s",
			 object_kind_name(r->kind), problem);
		return 0;
	}
	if (rc < 0)
		return rc;
	gaps_log(&r->told, &r->logger, &object, &gaps);
	rc = r->sink.replace_item(r->sink.ctx, &object);
	object_clear(&object);
	return rc;
}

static int take_event(void *ctx, const char *text, size_t size)
{
	struct reflector *r = ctx;
	struct watch_event event;
	struct json_gaps gaps;
	char problem[160];
	int rc;

	memset(&event, 0, sizeof(event));
	rc = json_decode_watch_event(r->kind, text, size, &event, &gaps, problem, sizeof(problem));
	if (rc == -EBADMSG || rc == -E2BIG) {
		/* As client-go: one bad event costs only itself. */
		log_once(&r->told, &r->logger, LOG_LEVEL_ERROR, "%s: an event cannot be used: %s",
			 object_kind_name(r->kind), problem);
		return 0;
	}
	if (rc < 0)
		return rc;
	switch (event.type) {
	case WATCH_ADDED:
	case WATCH_MODIFIED:
		log_debug(&r->logger, "%s %s/%s changed, resourceVersion %s",
			  object_kind_name(r->kind), event.object.namespace, event.object.name,
			  event.resource_version);
		gaps_log(&r->told, &r->logger, &event.object, &gaps);
		rc = r->sink.upsert(r->sink.ctx, &event.object);
		break;
	case WATCH_DELETED:
		log_debug(&r->logger, "%s %s/%s deleted", object_kind_name(r->kind),
			  event.object.namespace, event.object.name);
		r->sink.remove(r->sink.ctx, event.object.namespace, event.object.name);
		break;
	case WATCH_BOOKMARK:
		break;
	case WATCH_ERROR:
		r->body = REFLECTOR_BODY_ERROR_EVENT;
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
		free(r->resource_version);
		r->resource_version = event.resource_version;
		event.resource_version = NULL;
	}
	object_clear(&event.object);
	free(event.resource_version);
	return rc;
}

void reflector_take_begin(struct reflector *r)
{
	bool watch = r->request == REFLECTOR_WATCH;

	json_stream_init(&r->stream, watch ? JSON_STREAM_EVENTS : JSON_STREAM_LIST,
			 watch ? take_event : take_item, r);
	r->body = REFLECTOR_BODY_GOOD;
	r->body_problem[0] = '\0';
	r->watch_events = 0;
	r->watch_bytes = 0;
	buffer_clear(&r->error_body);
}

/* What does not fit is not needed for a message. */
static int take_error_body(struct reflector *r, const char *data, size_t size)
{
	size_t room = REFLECTOR_ERROR_BODY_LIMIT - r->error_body.length;

	buffer_append(&r->error_body, data, size < room ? size : room);
	return room > size ? 0 : -ECANCELED;
}

static int feed(struct reflector *r, const char *data, size_t size, char *problem,
		size_t problem_size)
{
	if (r->request != REFLECTOR_WATCH) {
		r->list_bytes += size;
		if (r->list_bytes > LIMIT_LIST_BYTES) {
			snprintf(problem, problem_size, "the list is larger than %u bytes",
				 LIMIT_LIST_BYTES);
			return -E2BIG;
		}
	}
	return json_stream_feed(&r->stream, data, size, problem, problem_size);
}

/* With @size bytes more. */
static bool is_full(struct reflector *r, size_t size)
{
	if (r->request != REFLECTOR_WATCH)
		return false;
	r->watch_bytes += size;
	return r->watch_bytes > LIMIT_WATCH_BYTES || r->stream.objects > LIMIT_WATCH_EVENTS;
}

int reflector_take(struct reflector *r, const char *data, size_t size)
{
	char problem[160] = "";
	int rc;

	if (r->status != 200)
		return take_error_body(r, data, size);
	rc = feed(r, data, size, problem, sizeof(problem));
	gaps_log_large(&r->told, &r->logger, object_kind_name(r->kind), r->stream.left_out);
	if (rc == 0 && is_full(r, size)) {
		r->body = REFLECTOR_BODY_FULL;
		return -ECANCELED;
	}
	if (rc < 0 && r->body != REFLECTOR_BODY_ERROR_EVENT) {
		r->body = REFLECTOR_BODY_BAD;
		/* take_item() may have said better what is wrong. */
		if (!r->body_problem[0])
			snprintf(r->body_problem, sizeof(r->body_problem), "%s",
				 problem[0] ? problem : strerror(-rc));
	}
	return rc;
}
