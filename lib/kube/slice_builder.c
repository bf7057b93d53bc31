// SPDX-License-Identifier: Apache-2.0
#include "kube/slice_builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "kube/json_metadata.h"
#include "kube/json_stream.h"

static size_t aligned(size_t size)
{
	return (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

const char *slice_store_text(struct slice_builder *builder, const char *text, size_t limit)
{
	size_t length = strlen(text);
	size_t start = builder->rest_used;

	if (length > limit)
		json_gap(builder->decoder, "a name of %zu bytes", length);
	if (!length || length > limit)
		return "";
	builder->rest_used += length + 1;
	if (!builder->memory)
		return "";
	json_printable(builder->rest + start, length + 1, text, length);
	return builder->rest + start;
}

const char **slice_store_array(struct slice_builder *builder, unsigned count)
{
	size_t start = aligned(builder->rest_used);

	builder->rest_used = start + count * sizeof(const char *);
	return builder->memory ? (const char **)(void *)(builder->rest + start) : NULL;
}

void slice_store_endpoint(struct slice_builder *builder, const struct slice_endpoint *endpoint)
{
	if (builder->memory)
		builder->endpoints[builder->endpoint_count] = *endpoint;
	builder->endpoint_count++;
}

static void walk_ports(struct slice_builder *builder)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, builder->port_list) {
		struct slice_port port;

		if (builder->port_count == LIMIT_PORTS) {
			json_gap(builder->decoder, "more than %u ports", LIMIT_PORTS);
			return;
		}
		/* The API server writes "" for no name; kube-proxy ignores a port without one. */
		if (!json_read_port(builder->decoder, item, &port) ||
		    (builder->decoder->kind == OBJECT_ENDPOINT_SLICE &&
		     !json_member(item, "name"))) {
			json_gap(builder->decoder, JSON_BAD_PORT);
			continue;
		}
		if (builder->memory)
			builder->ports[builder->port_count] = port;
		builder->port_count++;
	}
}

void slice_build(struct slice_builder *builder, void (*walk)(struct slice_builder *),
		 struct endpoint_slice *slice)
{
	size_t endpoints_size, ports_size;

	walk(builder);
	walk_ports(builder);
	if (builder->decoder->rc < 0)
		return;
	endpoints_size = aligned(builder->endpoint_count * sizeof(*builder->endpoints));
	ports_size = aligned(builder->port_count * sizeof(*builder->ports));
	slice->memory = malloc(endpoints_size + ports_size + builder->rest_used + 1);
	if (!slice->memory) {
		json_no_memory(builder->decoder);
		return;
	}
	builder->memory = slice->memory;
	builder->endpoints = (struct slice_endpoint *)(void *)builder->memory;
	builder->ports = (struct slice_port *)(void *)(builder->memory + endpoints_size);
	builder->rest = builder->memory + endpoints_size + ports_size;
	builder->rest_used = 0;
	builder->endpoint_count = 0;
	builder->port_count = 0;
	builder->decoder->seen = true;
	walk(builder);
	walk_ports(builder);
	builder->decoder->seen = false;
	slice->family = builder->family;
	slice->endpoints = builder->endpoints;
	slice->endpoint_count = builder->endpoint_count;
	slice->ports = builder->ports;
	slice->port_count = builder->port_count;
}

void slice_read_pod(struct slice_builder *builder, const cJSON *item,
		    struct slice_endpoint *endpoint)
{
	struct json_decoder *decoder = builder->decoder;
	const cJSON *target = json_get_object(decoder, item, "endpoints[].targetRef");
	const char *uid;

	endpoint->hostname = slice_store_text(
		builder, json_get_text(decoder, item, "endpoints[].hostname"), LIMIT_LABEL_TEXT);
	endpoint->node_name = slice_store_text(
		builder, json_get_text(decoder, item, "endpoints[].nodeName"), LIMIT_NAME_TEXT);
	endpoint->target_namespace = "";
	endpoint->target_name = "";
	if (strcmp(json_get_text(decoder, target, "endpoints[].targetRef.kind"), "Pod") != 0)
		return;
	endpoint->target_namespace =
		slice_store_text(builder,
				 json_get_text(decoder, target, "endpoints[].targetRef.namespace"),
				 LIMIT_LABEL_TEXT);
	endpoint->target_name =
		slice_store_text(builder,
				 json_get_text(decoder, target, "endpoints[].targetRef.name"),
				 LIMIT_NAME_TEXT);
	uid = json_get_text(decoder, target, "endpoints[].targetRef.uid");
	if (*uid) {
		uint64_t hash = hash_text(0, uid);

		endpoint->target_uid_hash = hash ? hash : 1; /* 0 says: none */
	}
}
