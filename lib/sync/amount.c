// SPDX-License-Identifier: Apache-2.0
#include "sync/amount.h"

#include "base/limits.h"

static uint64_t endpoints_of(const struct object *object)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < object->slice_count; i++)
		count += object->slices[i].endpoint_count;
	return count;
}

void amount_add(struct amount *amount, const struct object *object)
{
	amount->objects++;
	amount->endpoints += endpoints_of(object);
}

void amount_take(struct amount *amount, const struct object *object)
{
	amount->objects--;
	amount->endpoints -= endpoints_of(object);
}

bool amount_has_room(struct amount amount, const struct object *object, const struct object *old)
{
	if (old)
		amount_take(&amount, old);
	amount_add(&amount, object);
	return amount.objects <= LIMIT_OBJECTS && amount.endpoints <= LIMIT_ENDPOINTS;
}
