// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "kube/json_metadata.h"
#include "kube/json_read.h"
#include "kube/slice_builder.h"

/* endpoints_controller.go, maxCapacity: the controller cuts at 1 000 addresses and says so. */
#define ANNOTATION_OVER_CAPACITY "endpoints.kubernetes.io/over-capacity"

static void walk_addresses(struct slice_builder *builder, const cJSON *list, bool ready)
{
	struct json_decoder *decoder = builder->decoder;
	const cJSON *item;

	cJSON_ArrayForEach (item, list) {
		struct slice_endpoint endpoint = {.ready = ready, .serving = ready, .zone = ""};

		if (!json_check_object(decoder, item, "subsets[].addresses[]"))
			return;
		if (!json_read_address(decoder,
				       json_get_text(decoder, item, "subsets[].addresses[].ip"),
				       &endpoint.address) ||
		    ip_family_of(&endpoint.address) != builder->family)
			continue;
		slice_read_pod(builder, item, &endpoint);
		slice_store_endpoint(builder, &endpoint);
	}
}

static void walk_subset(struct slice_builder *builder)
{
	walk_addresses(builder, builder->endpoint_list, true);
	walk_addresses(builder, builder->not_ready_list, false);
}

/* One slice more, empty; NULL when there is no memory. */
static struct endpoint_slice *grow(struct json_decoder *decoder, struct object *object)
{
	unsigned count = object->slice_count;
	struct endpoint_slice *grown = object->slices;

	/* Room for a power of two. */
	if ((count & (count - 1)) == 0)
		grown = realloc(grown, (count ? 2 * (size_t)count : 1) * sizeof(*grown));
	if (!grown) {
		json_no_memory(decoder);
		return NULL;
	}
	object->slices = grown;
	return &grown[count];
}

/* One slice for each family that the subset has addresses of. */
static void read_subset(struct json_decoder *decoder, const cJSON *item,
			const struct endpoint_slice *form, struct object *object)
{
	static const enum ip_family families[] = {IP_FAMILY_4, IP_FAMILY_6};
	struct json_gaps gaps = decoder->gaps;

	if (!json_check_object(decoder, item, "subsets[]"))
		return;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct endpoint_slice slice = *form;
		struct endpoint_slice *place;
		struct slice_builder builder = {
			.decoder = decoder,
			.family = families[i],
			.endpoint_list = json_get_array(decoder, item, "subsets[].addresses"),
			.not_ready_list =
				json_get_array(decoder, item, "subsets[].notReadyAddresses"),
			.port_list = json_get_array(decoder, item, "subsets[].ports"),
		};

		/* Each family passes by the same bad ports and addresses. */
		decoder->gaps = gaps;
		slice_build(&builder, walk_subset, &slice);
		place = slice.endpoint_count ? grow(decoder, object) : NULL;
		if (place) {
			*place = slice;
			object->slice_count++;
		} else {
			free(slice.memory);
		}
	}
}

void json_read_endpoints(struct json_decoder *decoder, const cJSON *root, const cJSON *metadata,
			 struct object *object)
{
	const cJSON *labels = json_get_object(decoder, metadata, "metadata.labels");
	const cJSON *annotations = json_get_object(decoder, metadata, "metadata.annotations");
	const cJSON *capacity = json_member(annotations, ANNOTATION_OVER_CAPACITY);
	const cJSON *subsets = json_get_array(decoder, root, "subsets");
	struct endpoint_slice form = {.headless = json_member(labels, LABEL_HEADLESS) != NULL};
	const cJSON *item;

	object->truncated =
		cJSON_IsString(capacity) && strcmp(capacity->valuestring, "truncated") == 0;
	if (!subsets || !subsets->child)
		return;
	/* A name with dots, as old leader elections have, is no Service's. */
	if (dns_label_valid(object->name))
		memcpy(form.service_name, object->name, strlen(object->name) + 1);
	cJSON_ArrayForEach (item, subsets) {
		if (object->slice_count + 2 > LIMIT_SLICES) {
			json_gap(decoder, "more than %u subsets", LIMIT_SLICES);
			return;
		}
		read_subset(decoder, item, &form, object);
	}
}
