/* What all objects have: kind, names, resourceVersion; and the ports, which Services and slices
 * share. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_JSON_METADATA_H
#define K8SLB_KUBE_JSON_METADATA_H

#include "kube/json_access.h"

/* Copies a name that @valid bounds to less than @size bytes; any other one is an error. */
void json_get_name(struct json_decoder *decoder, const cJSON *metadata, const char *field,
		   bool (*valid)(const char *), char *copy, size_t size);

/* metadata.resourceVersion, to watch on from: opaque and of any length, but it goes into messages,
 * so that other than printable ASCII is an error; "" too. NULL then; else the caller's to free().
 */
char *json_copy_resource_version(struct json_decoder *decoder, const cJSON *metadata);

/* "kind" may be missing; when there, it must be the decoder's with @suffix ("" or "List"). */
void json_check_kind(struct json_decoder *decoder, const cJSON *root, const char *suffix);

/* Checks the kind, fills the names of @object; returns metadata. */
const cJSON *json_read_metadata(struct json_decoder *decoder, const cJSON *root,
				struct object *object);

/* False with a gap when @text is no address that a Service or a pod can have. */
bool json_read_address(struct json_decoder *decoder, const char *text,
		       struct ip_address *ret_address);

/*
 * {"name","protocol","port"}, of which only the type of the first two is an error. False when the
 * port is to be skipped, which is the caller's gap. Without a number @ret_port->port is 0.
 */
#define JSON_BAD_PORT "a port without a legal name, protocol or number"
bool json_read_port(struct json_decoder *decoder, const cJSON *item, struct slice_port *ret_port);

#endif
