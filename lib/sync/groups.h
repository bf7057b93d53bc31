/* Each Service with its slices, which come one by one and by other objects, and which changed. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_GROUPS_H
#define K8SLB_SYNC_GROUPS_H

#include "base/object.h"
#include "sync/store.h"

/* Of a store, which alone uses it; all zero: none. */
struct groups {
	struct service_group *all;
	struct service_group *first_changed;
	struct service_group *last_changed;
	struct service_group *taken; /* given out last; freed when it was empty */
};

/* Makes the groups of an object, with room for it: groups_link() cannot fail then. Returns 0, or
 * -ENOMEM and nothing is reserved. */
int groups_reserve(struct groups *groups, const struct object *object);

/* Gives back what was reserved for an object that is not linked. */
void groups_unreserve(struct groups *groups, const struct object *object);

/* Links what an object says into its groups, in the room that was reserved. It is borrowed until
 * groups_unlink(). */
void groups_link(struct groups *groups, const struct object *object);

void groups_unlink(struct groups *groups, const struct object *object);

/* How many slices a Service has, or how much room is reserved for it. 0: there is none. */
unsigned groups_slices(struct groups *groups, const char *namespace, const char *service,
		       bool reserved);

/* store.h: store_take_changed(), store_touch_all(). */
bool groups_take_changed(struct groups *groups, struct service_state *ret_state);
void groups_touch_all(struct groups *groups);

/* Frees the groups; no object is linked any more. */
void groups_free(struct groups *groups);

#endif
