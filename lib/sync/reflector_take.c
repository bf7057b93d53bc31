// SPDX-License-Identifier: Apache-2.0
#include "sync/reflector_take.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
	log_error(&r->logger, "%s %s/%s cannot be used, its last good state stays: %s",
		  object_kind_name(r->kind), namespace, name, problem);
	return r->sink.replace_keep(r->sink.ctx, namespace, name);
}

/* What is missing of an object that can be used all the same. */
static void log_gaps(const struct reflector *r, const struct object *object, unsigned skipped)
{
	if (skipped)
		log_error(&r->logger, "%s %s/%s: %u ports or addresses are not usable",
			  object_kind_name(r->kind), object->namespace, object->name, skipped);
	if (object->truncated)
		log_error(&r->logger,
			  "%s %s/%s lists only 1000 of its addresses: allow to read EndpointSlices",
			  object_kind_name(r->kind), object->namespace, object->name);
}

static int take_item(void *ctx, const char *text, size_t size)
{
	struct reflector *r = ctx;
	struct object object = {0};
	unsigned skipped = 0;
	char problem[160];
	int rc;

	if (r->request == REFLECTOR_PROBE)
		return 0;
	if (++r->list_items > REFLECTOR_ITEM_LIMIT) {
		snprintf(r->body_problem, sizeof(r->body_problem),
			 "the list has more than %u items", REFLECTOR_ITEM_LIMIT);
		return -E2BIG;
	}
	rc = json_decode_object(r->kind, text, size, &object, &skipped, problem, sizeof(problem));
	if (rc == -EBADMSG)
		return take_undecodable_item(r, text, size, problem);
	if (rc < 0)
		return rc;
	log_gaps(r, &object, skipped);
	rc = r->sink.replace_item(r->sink.ctx, &object);
	object_clear(&object);
	return rc;
}

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
		log_error(&r->logger, "%s: an event cannot be used: %s", object_kind_name(r->kind),
			  problem);
		return 0;
	}
	if (rc < 0)
		return rc;
	switch (event.type) {
	case WATCH_ADDED:
	case WATCH_MODIFIED:
		log_debug(&r->logger, "%s %s/%s changed, resourceVersion %s",
			  object_kind_name(r->kind), event.object.namespace, event.object.name,
			  event.object.resource_version);
		log_gaps(r, &event.object, skipped);
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
		memcpy(r->resource_version, event.object.resource_version,
		       sizeof(r->resource_version));
	}
	object_clear(&event.object);
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
		if (r->list_bytes > REFLECTOR_LIST_BYTES_LIMIT) {
			snprintf(problem, problem_size, "the list is larger than %u bytes",
				 REFLECTOR_LIST_BYTES_LIMIT);
			return -E2BIG;
		}
	}
	return json_stream_feed(&r->stream, data, size, problem, problem_size);
}

int reflector_take(struct reflector *r, const char *data, size_t size)
{
	char problem[160] = "";
	int rc;

	if (r->status != 200)
		return take_error_body(r, data, size);
	rc = feed(r, data, size, problem, sizeof(problem));
	if (rc < 0 && r->body != REFLECTOR_BODY_ERROR_EVENT) {
		r->body = REFLECTOR_BODY_BAD;
		/* take_item() may have said better what is wrong. */
		if (!r->body_problem[0])
			snprintf(r->body_problem, sizeof(r->body_problem), "%s",
				 problem[0] ? problem : strerror(-rc));
	}
	return rc;
}
