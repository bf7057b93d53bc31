/* The memory of an endpoint slice: one block, filled from a tree that is walked twice. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_SLICE_BUILDER_H
#define K8SLB_KUBE_SLICE_BUILDER_H

#include "kube/json_access.h"

/* Of a slice and of an Endpoints. */
#define LABEL_HEADLESS "service.kubernetes.io/headless"

/*
 * A slice lies in one block: endpoints, ports, then strings and arrays of hints as they come. The
 * same function walks its JSON twice: without memory, to measure, and with it, to fill.
 */
struct slice_builder {
	struct json_decoder *decoder;
	char *memory; /* NULL while measuring */
	struct slice_endpoint *endpoints;
	struct slice_port *ports;
	char *rest;
	size_t rest_used;
	unsigned endpoint_count;
	unsigned port_count;
	/* What one walk reads. */
	enum ip_family family;
	const cJSON *endpoint_list;
	const cJSON *not_ready_list; /* of an Endpoints subset */
	const cJSON *port_list;
};

/* Fills @slice but its names and labels. Also after an error object_clear() frees its memory.
 * @walk stores the endpoints of @builder's lists. */
void slice_build(struct slice_builder *builder, void (*walk)(struct slice_builder *),
		 struct endpoint_slice *slice);

/* For @walk. What they return is "" or NULL while measuring, and lives as long as the slice. A text
 * of more than @limit bytes is left out. */
const char *slice_store_text(struct slice_builder *builder, const char *text, size_t limit);
const char **slice_store_array(struct slice_builder *builder, unsigned count);
void slice_store_endpoint(struct slice_builder *builder, const struct slice_endpoint *endpoint);

/* What an endpoint of both kinds has: hostname, nodeName and targetRef. */
void slice_read_pod(struct slice_builder *builder, const cJSON *item,
		    struct slice_endpoint *endpoint);

#endif
