// SPDX-License-Identifier: Apache-2.0
#include "kube/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/json_metadata.h"
#include "kube/json_read.h"

/* Also after an error @object holds what was allocated. */
static void read_object(struct json_decoder *decoder, const cJSON *root, struct object *object)
{
	const cJSON *metadata = json_read_metadata(decoder, root, object);

	if (decoder->rc < 0)
		return;
	object->kind = decoder->kind;
	switch (decoder->kind) {
	case OBJECT_SERVICE:
		json_read_service(decoder, root, metadata, object);
		break;
	case OBJECT_ENDPOINT_SLICE:
		json_read_slice(decoder, root, metadata, object);
		break;
	case OBJECT_ENDPOINTS:
		json_read_endpoints(decoder, root, metadata, object);
		break;
	}
}

/* Takes @root over. */
static int finish_object(struct json_decoder *decoder, cJSON *root, struct object *ret_object,
			 struct json_gaps *ret_gaps)
{
	struct object object = {0};

	read_object(decoder, root, &object);
	cJSON_Delete(root);
	if (decoder->rc < 0) {
		object_clear(&object);
		return decoder->rc;
	}
	*ret_object = object;
	if (ret_gaps)
		*ret_gaps = decoder->gaps;
	return 0;
}

int json_decode_object(enum object_kind kind, const char *text, size_t size,
		       struct object *ret_object, struct json_gaps *ret_gaps, char *error,
		       size_t error_size)
{
	struct json_decoder decoder = {.kind = kind, .error = error, .error_size = error_size};
	cJSON *root = json_parse(&decoder, text, size);

	return root ? finish_object(&decoder, root, ret_object, ret_gaps) : decoder.rc;
}

static bool find_kind(const char *text, enum object_kind *ret_kind)
{
	static const enum object_kind kinds[] = {OBJECT_SERVICE, OBJECT_ENDPOINT_SLICE,
						 OBJECT_ENDPOINTS};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(text, object_kind_name(kinds[i])) == 0) {
			*ret_kind = kinds[i];
			return true;
		}
	}
	return false;
}

int json_decode_item(const char *text, size_t size, enum object_kind *ret_kind,
		     struct object *ret_object, struct json_gaps *ret_gaps, char *error,
		     size_t error_size)
{
	struct json_decoder decoder = {.error = error, .error_size = error_size};
	cJSON *root = json_parse(&decoder, text, size);

	if (!root)
		return decoder.rc == -EBADMSG ? -ENOTSUP : decoder.rc;
	if (!find_kind(json_get_text(&decoder, root, "kind"), &decoder.kind)) {
		cJSON_Delete(root);
		return -ENOTSUP;
	}
	*ret_kind = decoder.kind;
	return finish_object(&decoder, root, ret_object, ret_gaps);
}

static enum watch_event_type event_type(const char *text)
{
	static const char *const names[] = {
		[WATCH_ADDED] = "ADDED",     [WATCH_MODIFIED] = "MODIFIED",
		[WATCH_DELETED] = "DELETED", [WATCH_BOOKMARK] = "BOOKMARK",
		[WATCH_ERROR] = "ERROR",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0)
			return (enum watch_event_type)i;
	}
	return WATCH_UNKNOWN;
}

static void read_event(struct json_decoder *decoder, const cJSON *root, struct watch_event *event)
{
	const cJSON *object = json_member(root, "object");
	const char *type = json_get_text(decoder, root, "type");

	if (!*type)
		json_bad(decoder, "a watch event without type");
	event->type = event_type(type);
	if (decoder->rc < 0 || event->type == WATCH_UNKNOWN ||
	    !json_check_object(decoder, object, "object"))
		return;
	switch (event->type) {
	case WATCH_ERROR:
		json_read_status(decoder, object, &event->status);
		break;
	case WATCH_BOOKMARK:
		json_check_kind(decoder, object, "");
		event->object.kind = decoder->kind;
		event->resource_version = json_copy_resource_version(
			decoder, json_get_object(decoder, object, "metadata"));
		break;
	default:
		read_object(decoder, object, &event->object);
		if (decoder->rc == 0)
			event->resource_version = json_copy_resource_version(
				decoder, json_get_object(decoder, object, "metadata"));
	}
}

int json_decode_watch_event(enum object_kind kind, const char *text, size_t size,
			    struct watch_event *ret_event, struct json_gaps *ret_gaps, char *error,
			    size_t error_size)
{
	struct json_decoder decoder = {.kind = kind, .error = error, .error_size = error_size};
	struct watch_event event = {.status.retry_after_s = -1};
	cJSON *root = json_parse(&decoder, text, size);

	if (!root)
		return decoder.rc;
	read_event(&decoder, root, &event);
	cJSON_Delete(root);
	if (decoder.rc < 0) {
		object_clear(&event.object);
		free(event.resource_version);
		return decoder.rc;
	}
	*ret_event = event;
	if (ret_gaps)
		*ret_gaps = decoder.gaps;
	return 0;
}

void list_envelope_free(struct list_envelope *envelope)
{
	free(envelope->resource_version);
	free(envelope->continue_token);
	*envelope = (struct list_envelope){.continue_token = NULL};
}

int json_decode_list_envelope(enum object_kind kind, const char *text, size_t size,
			      struct list_envelope *ret_envelope, char *error, size_t error_size)
{
	struct json_decoder decoder = {.kind = kind, .error = error, .error_size = error_size};
	struct list_envelope envelope = {.continue_token = NULL};
	cJSON *root = json_parse(&decoder, text, size);
	const cJSON *metadata;
	const char *token;

	if (!root)
		return decoder.rc;
	json_check_kind(&decoder, root, "List");
	metadata = json_get_object(&decoder, root, "metadata");
	envelope.resource_version = json_copy_resource_version(&decoder, metadata);
	token = json_get_text(&decoder, metadata, "metadata.continue");
	if (*token && decoder.rc == 0) {
		envelope.continue_token = strdup(token);
		if (!envelope.continue_token)
			json_no_memory(&decoder);
	}
	cJSON_Delete(root);
	if (decoder.rc == 0)
		*ret_envelope = envelope;
	else
		list_envelope_free(&envelope);
	return decoder.rc;
}

int json_decode_identity(const char *text, size_t size, char *namespace, char *name)
{
	char error[128];
	struct json_decoder decoder = {.error = error, .error_size = sizeof(error)};
	char found_namespace[DNS_LABEL_SIZE];
	char found_name[OBJECT_NAME_SIZE];
	cJSON *root = json_parse(&decoder, text, size);
	const cJSON *metadata;

	if (!root)
		return decoder.rc;
	metadata = json_get_object(&decoder, root, "metadata");
	json_get_name(&decoder, metadata, "metadata.namespace", dns_label_valid, found_namespace,
		      sizeof(found_namespace));
	json_get_name(&decoder, metadata, "metadata.name", object_name_valid, found_name,
		      sizeof(found_name));
	cJSON_Delete(root);
	if (decoder.rc < 0)
		return decoder.rc;
	strcpy(namespace, found_namespace);
	strcpy(name, found_name);
	return 0;
}
