/* How much there is of what has a limit: objects, and endpoints in them. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_AMOUNT_H
#define K8SLB_SYNC_AMOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/object.h"

struct amount {
	uint64_t objects;
	uint64_t endpoints;
};

void amount_add(struct amount *amount, const struct object *object);

/* What was added before. */
void amount_take(struct amount *amount, const struct object *object);

/* Not beyond LIMIT_OBJECTS or LIMIT_ENDPOINTS with @object in the place of @old (NULL: none). */
bool amount_has_room(struct amount amount, const struct object *object, const struct object *old);

#endif
