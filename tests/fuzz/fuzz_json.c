/* Fuzzes kube/json.h: the first byte chooses the function and the kind, the rest is the text.
 */
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kube/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads all that the decoder promises to be there. */
static size_t walk(const struct object *object)
{
	size_t sum = strlen(object->namespace) + strlen(object->name);

	if (object->service) {
		const struct service *service = object->service;

		if (service->cluster_ip_count > 2)
			abort();
		for (unsigned i = 0; i < service->port_count; i++) {
			if (!service->ports[i].port)
				abort();
			sum += strlen(service->ports[i].name);
		}
	}
	for (unsigned s = 0; s < object->slice_count; s++) {
		const struct endpoint_slice *slice = &object->slices[s];

		for (unsigned i = 0; i < slice->port_count; i++)
			sum += strlen(slice->ports[i].name);
		for (unsigned i = 0; i < slice->endpoint_count; i++) {
			const struct slice_endpoint *endpoint = &slice->endpoints[i];

			if (ip_family_of(&endpoint->address) != slice->family)
				abort();
			sum += strlen(endpoint->hostname) + strlen(endpoint->node_name) +
			       strlen(endpoint->zone) + strlen(endpoint->target_namespace) +
			       strlen(endpoint->target_name);
			for (unsigned h = 0; h < endpoint->zone_hint_count; h++)
				sum += strlen(endpoint->zone_hints[h]);
			for (unsigned h = 0; h < endpoint->node_hint_count; h++)
				sum += strlen(endpoint->node_hints[h]);
		}
	}
	return sum;
}

static void try_object(enum object_kind kind, const char *text, size_t size)
{
	struct object object;
	char error[128];

	if (json_decode_object(kind, text, size, &object, NULL, error, sizeof(error)) < 0)
		return;
	walk(&object);
	object_clear(&object);
}

static void try_event(enum object_kind kind, const char *text, size_t size)
{
	struct watch_event event;
	char error[128];

	if (json_decode_watch_event(kind, text, size, &event, NULL, error, sizeof(error)) < 0)
		return;
	walk(&event.object);
	object_clear(&event.object);
	free(event.resource_version);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct list_envelope envelope;
	struct kube_status status;
	struct object object;
	enum object_kind kind;
	char error[128];
	char *text;

	if (size < 1)
		return 0;
	kind = (enum object_kind)(data[0] / 8 % 3);
	size--;
	/* Of the exact size: a read beyond it is seen. */
	text = malloc(size ? size : 1);
	if (!text)
		return 0;
	memcpy(text, data + 1, size);
	switch (data[0] % 8) {
	case 0:
		if (json_decode_list_envelope(kind, text, size, &envelope, error, sizeof(error)) ==
		    0)
			list_envelope_free(&envelope);
		break;
	case 1:
		json_decode_status(text, size, &status, error, sizeof(error));
		break;
	case 2:
		if (json_decode_item(text, size, &kind, &object, NULL, error, sizeof(error)) == 0)
			object_clear(&object);
		break;
	case 3:
	case 4:
		try_event(kind, text, size);
		break;
	default:
		try_object(kind, text, size);
	}
	free(text);
	return 0;
}
