// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "kube/json_metadata.h"
#include "kube/json_read.h"
#include "kube/slice_builder.h"

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"

/* A list of {"name"}. */
static const char *const *read_hints(struct slice_builder *builder, const cJSON *hints,
				     const char *field, unsigned *ret_count)
{
	const cJSON *list = json_get_array(builder->decoder, hints, field);
	unsigned all = (unsigned)cJSON_GetArraySize(list);
	const char **names = slice_store_array(builder, all < LIMIT_HINTS ? all : LIMIT_HINTS);
	const cJSON *item;
	unsigned count = 0;

	if (all > LIMIT_HINTS)
		json_gap(builder->decoder, "more than %u hints", LIMIT_HINTS);

	cJSON_ArrayForEach (item, list) {
		const char *name;

		if (count == LIMIT_HINTS)
			break;
		name = slice_store_text(
			builder, json_get_text(builder->decoder, item, "endpoints[].hints.*.name"),
			LIMIT_NAME_TEXT);
		if (names)
			names[count] = name;
		count++;
	}
	*ret_count = count;
	return names;
}

/* addresses[0] of the slice's family; "no semantics are defined beyond the first". */
static bool read_first_address(struct slice_builder *builder, const cJSON *item,
			       struct ip_address *ret_address)
{
	const cJSON *list = json_get_array(builder->decoder, item, "endpoints[].addresses");
	const cJSON *first = list ? list->child : NULL;

	if (!first) {
		json_gap(builder->decoder, "an endpoint without address");
		return false;
	}
	if (!cJSON_IsString(first)) {
		json_bad(builder->decoder, "endpoints[].addresses[0] is not a string");
		return false;
	}
	if (!json_read_address(builder->decoder, first->valuestring, ret_address))
		return false;
	if (ip_family_of(ret_address) == builder->family)
		return true;
	json_gap(builder->decoder, "%.64s is of the other family", first->valuestring);
	return false;
}

static void walk_endpoint(struct slice_builder *builder, const cJSON *item)
{
	struct json_decoder *decoder = builder->decoder;
	struct slice_endpoint endpoint = {0};
	const cJSON *conditions, *hints;

	if (!json_check_object(decoder, item, "endpoints[]"))
		return;
	if (!read_first_address(builder, item, &endpoint.address))
		return;
	conditions = json_get_object(decoder, item, "endpoints[].conditions");
	endpoint.ready = json_get_bool(decoder, conditions, "endpoints[].conditions.ready", true);
	endpoint.serving =
		json_get_bool(decoder, conditions, "endpoints[].conditions.serving", true);
	endpoint.terminating =
		json_get_bool(decoder, conditions, "endpoints[].conditions.terminating", false);
	slice_read_pod(builder, item, &endpoint);
	endpoint.zone = slice_store_text(builder, json_get_text(decoder, item, "endpoints[].zone"),
					 LIMIT_LABEL_TEXT);
	hints = json_get_object(decoder, item, "endpoints[].hints");
	endpoint.zone_hints =
		read_hints(builder, hints, "endpoints[].hints.forZones", &endpoint.zone_hint_count);
	endpoint.node_hints =
		read_hints(builder, hints, "endpoints[].hints.forNodes", &endpoint.node_hint_count);
	slice_store_endpoint(builder, &endpoint);
}

static void walk_slice(struct slice_builder *builder)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, builder->endpoint_list) {
		walk_endpoint(builder, item);
	}
}

void json_read_slice(struct json_decoder *decoder, const cJSON *root, const cJSON *metadata,
		     struct object *object)
{
	const cJSON *labels = json_get_object(decoder, metadata, "metadata.labels");
	const cJSON *service_name = json_member(labels, LABEL_SERVICE_NAME);
	const char *type = json_get_text(decoder, root, "addressType");
	struct endpoint_slice *slice = calloc(1, sizeof(*slice));
	struct slice_builder builder = {
		.decoder = decoder,
		.endpoint_list = json_get_array(decoder, root, "endpoints"),
		.port_list = json_get_array(decoder, root, "ports"),
		.family = strcmp(type, "IPv6") == 0 ? IP_FAMILY_6 : IP_FAMILY_4,
	};

	if (!slice) {
		json_no_memory(decoder);
		return;
	}
	object->slices = slice;
	object->slice_count = 1;
	if (!*type)
		json_bad(decoder, "addressType is missing");
	if (strcmp(type, "IPv4") != 0 && strcmp(type, "IPv6") != 0) {
		/* FQDN, or a type of the future: a proxy can use neither. */
		slice->fqdn = true;
		builder.endpoint_list = NULL;
	}
	/* A value that is no DNS label names no Service. */
	if (cJSON_IsString(service_name) && dns_label_valid(service_name->valuestring))
		snprintf(slice->service_name, sizeof(slice->service_name), "%s",
			 service_name->valuestring);
	slice->headless = json_member(labels, LABEL_HEADLESS) != NULL;
	slice_build(&builder, walk_slice, slice);
}
