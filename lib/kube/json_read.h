/* What each kind reads from its tree; metadata, which all have, is read before. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_JSON_READ_H
#define K8SLB_KUBE_JSON_READ_H

#include "kube/json.h"
#include "kube/json_access.h"

/* Each fills @object, whose names are set, from @root and its @metadata (NULL: none). Also after an
 * error of @decoder it holds what was allocated: object_clear(). */
void json_read_service(struct json_decoder *decoder, const cJSON *root, const cJSON *metadata,
		       struct object *object);
void json_read_slice(struct json_decoder *decoder, const cJSON *root, const cJSON *metadata,
		     struct object *object);
void json_read_endpoints(struct json_decoder *decoder, const cJSON *root, const cJSON *metadata,
			 struct object *object);

/* A meta/v1 Status: the body of an HTTP error, the object of an ERROR event. */
void json_read_status(struct json_decoder *decoder, const cJSON *root, struct kube_status *status);

#endif
