/* Reads all that an object promises to have, and writes it down. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_OBJECT_WALK_H
#define K8SLB_TESTS_OBJECT_WALK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"

/* Header only: the fuzzers have no other support. Ends the program where a promise of kube/json.h
 * is broken. */
static inline void object_must(bool promise)
{
	if (!promise)
		abort();
}

static inline size_t object_walk_slice(const struct endpoint_slice *slice)
{
	size_t sum = strlen(slice->service_name);

	object_must(!slice->service_name[0] || dns_label_valid(slice->service_name));
	object_must(slice->family == IP_FAMILY_4 || slice->family == IP_FAMILY_6);
	for (unsigned i = 0; i < slice->port_count; i++)
		object_must(!slice->ports[i].name[0] || dns_label_valid(slice->ports[i].name));
	for (unsigned i = 0; i < slice->endpoint_count; i++) {
		const struct slice_endpoint *endpoint = &slice->endpoints[i];

		object_must(ip_family_of(&endpoint->address) == slice->family);
		sum += strlen(endpoint->hostname) + strlen(endpoint->node_name) +
		       strlen(endpoint->zone) + strlen(endpoint->target_namespace) +
		       strlen(endpoint->target_name);
		for (unsigned h = 0; h < endpoint->zone_hint_count; h++)
			sum += strlen(endpoint->zone_hints[h]);
		for (unsigned h = 0; h < endpoint->node_hint_count; h++)
			sum += strlen(endpoint->node_hints[h]);
	}
	return sum;
}

static inline size_t object_walk(const struct object *object)
{
	size_t sum = strlen(object->name);

	object_must(dns_label_valid(object->namespace) && object_name_valid(object->name));
	object_must((object->kind == OBJECT_SERVICE) == (object->service != NULL));
	if (object->service) {
		const struct service *service = object->service;

		object_must(strcmp(service->name, object->name) == 0 && !service->made_up);
		object_must(service->cluster_ip_count <= 2 && service->family_count <= 2);
		for (unsigned i = 0; i < service->port_count; i++)
			object_must(service->ports[i].port != 0);
	}
	for (unsigned i = 0; i < object->slice_count; i++)
		sum += object_walk_slice(&object->slices[i]);
	return sum;
}

/* One line for each thing in it: two objects are the same when their texts are. */
void object_describe(const struct object *object, char *text, size_t size);

#endif
