// SPDX-License-Identifier: Apache-2.0
#include "sync/groups.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failed allocation must not end the host, which is uthash's default. */
#define HASH_NONFATAL_OOM 1
/* As in store.c. */
#define HASH_FUNCTION(key, length, hash) ((hash) = (unsigned)hash_secret(key, length))
#include <uthash.h>

#include "base/hash.h"

struct service_group {
	char key[2 * DNS_LABEL_SIZE]; /* namespace/name */
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
	const struct service *service;
	const struct endpoint_slice **slices;
	unsigned slice_count;
	unsigned slice_capacity; /* at least what is there and what is reserved */
	unsigned reserved;	 /* by objects that are to come */
	bool changed;
	struct service_group *next_changed;
	UT_hash_handle hh;
};

static struct service_group *group_of(struct groups *groups, const char *namespace,
				      const char *name, bool create)
{
	struct service_group *group;
	char key[2 * DNS_LABEL_SIZE];

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	HASH_FIND_STR(groups->all, key, group);
	if (group || !create)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	strcpy(group->key, key);
	strcpy(group->namespace, namespace);
	strcpy(group->name, name);
	HASH_ADD_STR(groups->all, key, group);
	if (!group->hh.tbl) {
		free(group);
		return NULL;
	}
	return group;
}

static void mark_changed(struct groups *groups, struct service_group *group)
{
	if (group->changed)
		return;
	group->changed = true;
	group->next_changed = NULL;
	if (groups->last_changed)
		groups->last_changed->next_changed = group;
	else
		groups->first_changed = group;
	groups->last_changed = group;
}

static void group_free(struct groups *groups, struct service_group *group)
{
	HASH_DEL(groups->all, group);
	free(group->slices);
	free(group);
}

static bool group_is_empty(const struct service_group *group)
{
	return !group->service && group->slice_count == 0 && group->reserved == 0;
}

/* Room for one more to come. */
static int group_reserve(struct service_group *group)
{
	unsigned needed = group->slice_count + group->reserved + 1;

	if (needed > group->slice_capacity) {
		unsigned capacity = needed > 2 ? needed + needed / 2 : 2;
		const struct endpoint_slice **grown =
			realloc(group->slices, capacity * sizeof(group->slices[0]));

		if (!grown)
			return -ENOMEM;
		group->slices = grown;
		group->slice_capacity = capacity;
	}
	group->reserved++;
	return 0;
}

static void group_drop_slice(struct service_group *group, const struct endpoint_slice *slice)
{
	for (unsigned i = 0; i < group->slice_count; i++) {
		if (group->slices[i] == slice) {
			group->slices[i] = group->slices[--group->slice_count];
			return;
		}
	}
}

/* The name of the @number-th Service that an object tells of; NULL: there are no more. "": none. */
static const char *named_service(const struct object *object, unsigned number)
{
	if (object->service && number-- == 0)
		return object->service->name;
	return number < object->slice_count ? object->slices[number].service_name : NULL;
}

/* Nothing is in it, nothing is to come, and nobody is to be told that. */
static void group_free_unused(struct groups *groups, struct service_group *group)
{
	if (group_is_empty(group) && !group->changed && groups->taken != group)
		group_free(groups, group);
}

/* Gives back what was reserved for the first @count of them. */
static void unreserve(struct groups *groups, const struct object *object, unsigned count)
{
	const char *name;

	for (unsigned i = 0; i < count && (name = named_service(object, i)); i++) {
		struct service_group *group;

		if (!*name)
			continue;
		group = group_of(groups, object->namespace, name, false);
		group->reserved--;
		group_free_unused(groups, group);
	}
}

int groups_reserve(struct groups *groups, const struct object *object)
{
	const char *name;

	for (unsigned i = 0; (name = named_service(object, i)); i++) {
		struct service_group *group;

		if (!*name)
			continue;
		group = group_of(groups, object->namespace, name, true);
		if (!group || group_reserve(group) < 0) {
			if (group)
				group_free_unused(groups, group);
			unreserve(groups, object, i);
			return -ENOMEM;
		}
	}
	return 0;
}

void groups_unreserve(struct groups *groups, const struct object *object)
{
	unreserve(groups, object, UINT_MAX);
}

void groups_link(struct groups *groups, const struct object *object)
{
	struct service_group *group;

	if (object->service) {
		group = group_of(groups, object->namespace, object->service->name, false);
		group->reserved--;
		group->service = object->service;
		mark_changed(groups, group);
	}
	for (unsigned i = 0; i < object->slice_count; i++) {
		const struct endpoint_slice *slice = &object->slices[i];

		if (!slice->service_name[0])
			continue;
		group = group_of(groups, object->namespace, slice->service_name, false);
		group->reserved--;
		group->slices[group->slice_count++] = slice;
		mark_changed(groups, group);
	}
}

void groups_unlink(struct groups *groups, const struct object *object)
{
	struct service_group *group;

	if (object->service) {
		group = group_of(groups, object->namespace, object->service->name, false);
		if (group && group->service == object->service) {
			group->service = NULL;
			mark_changed(groups, group);
		}
	}
	for (unsigned i = 0; i < object->slice_count; i++) {
		const struct endpoint_slice *slice = &object->slices[i];

		group = group_of(groups, object->namespace, slice->service_name, false);
		if (group) {
			group_drop_slice(group, slice);
			mark_changed(groups, group);
		}
	}
}

unsigned groups_slices(struct groups *groups, const char *namespace, const char *service,
		       bool reserved)
{
	const struct service_group *group =
		*service ? group_of(groups, namespace, service, false) : NULL;

	if (!group)
		return 0;
	return reserved ? group->reserved : group->slice_count;
}

bool groups_take_changed(struct groups *groups, struct service_state *ret_state)
{
	struct service_group *group = groups->first_changed;

	if (groups->taken && !groups->taken->changed && group_is_empty(groups->taken))
		group_free(groups, groups->taken);
	groups->taken = group;
	if (!group)
		return false;
	groups->first_changed = group->next_changed;
	if (!groups->first_changed)
		groups->last_changed = NULL;
	group->changed = false;
	*ret_state = (struct service_state){
		.namespace = group->namespace,
		.name = group->name,
		.service = group->service,
		.slices = group->slices,
		.slice_count = group->slice_count,
	};
	return true;
}

void groups_touch_all(struct groups *groups)
{
	for (struct service_group *group = groups->all; group; group = group->hh.next)
		mark_changed(groups, group);
}

void groups_free(struct groups *groups)
{
	struct service_group *group, *next;

	HASH_ITER (hh, groups->all, group, next)
		group_free(groups, group);
}
