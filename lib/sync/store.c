// SPDX-License-Identifier: Apache-2.0
#include "sync/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failed allocation must not end the host, which is uthash's default. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define KEY_SIZE (DNS_LABEL_SIZE + OBJECT_NAME_SIZE)

struct service_group {
	char key[2 * DNS_LABEL_SIZE]; /* namespace/name */
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
	const struct service *service;
	const struct endpoint_slice **slices;
	unsigned slice_count;
	unsigned slice_capacity;
	bool changed;
	struct service_group *next_changed;
	UT_hash_handle hh;
};

struct stored_object {
	char *key; /* namespace/name */
	struct object object;
	bool listed; /* seen in the list that is being taken in */
	UT_hash_handle hh;
};

struct store_scope {
	struct store *store;
	struct store_scope *next;
	bool (*wanted)(void *ctx, const char *namespace, const char *service);
	void *ctx;
	struct stored_object *objects;
	struct stored_object *staged;
};

struct store {
	struct service_group *groups;
	struct service_group *first_changed;
	struct service_group *last_changed;
	struct service_group *taken; /* given out last; freed when it was empty */
	struct store_scope *scopes;
};

/* ---- groups ---- */

static struct service_group *group_of(struct store *store, const char *namespace, const char *name,
				      bool create)
{
	struct service_group *group;
	char key[2 * DNS_LABEL_SIZE];

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	HASH_FIND_STR(store->groups, key, group);
	if (group || !create)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	strcpy(group->key, key);
	strcpy(group->namespace, namespace);
	strcpy(group->name, name);
	HASH_ADD_STR(store->groups, key, group);
	if (!group->hh.tbl) {
		free(group);
		return NULL;
	}
	return group;
}

static void mark_changed(struct store *store, struct service_group *group)
{
	if (group->changed)
		return;
	group->changed = true;
	group->next_changed = NULL;
	if (store->last_changed)
		store->last_changed->next_changed = group;
	else
		store->first_changed = group;
	store->last_changed = group;
}

static void group_free(struct store *store, struct service_group *group)
{
	HASH_DEL(store->groups, group);
	free(group->slices);
	free(group);
}

static bool group_is_empty(const struct service_group *group)
{
	return !group->service && group->slice_count == 0;
}

static int group_add_slice(struct service_group *group, const struct endpoint_slice *slice)
{
	if (group->slice_count == group->slice_capacity) {
		unsigned capacity = group->slice_capacity ? group->slice_capacity * 2 : 2;
		const struct endpoint_slice **grown =
			realloc(group->slices, capacity * sizeof(group->slices[0]));

		if (!grown)
			return -ENOMEM;
		group->slices = grown;
		group->slice_capacity = capacity;
	}
	group->slices[group->slice_count++] = slice;
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

/* Links what the object says into its groups; on failure nothing is linked. */
static int link_object(struct store *store, const struct object *object)
{
	struct service_group *group;

	if (object->service) {
		group = group_of(store, object->namespace, object->service->name, true);
		if (!group)
			return -ENOMEM;
		group->service = object->service;
		mark_changed(store, group);
	}
	for (unsigned i = 0; i < object->slice_count; i++) {
		const struct endpoint_slice *slice = &object->slices[i];

		if (!slice->service_name[0])
			continue;
		group = group_of(store, object->namespace, slice->service_name, true);
		if (!group || group_add_slice(group, slice) < 0) {
			while (i-- > 0) {
				slice = &object->slices[i];
				group = group_of(store, object->namespace, slice->service_name,
						 false);
				if (group)
					group_drop_slice(group, slice);
			}
			return -ENOMEM;
		}
		mark_changed(store, group);
	}
	return 0;
}

static void unlink_object(struct store *store, const struct object *object)
{
	struct service_group *group;

	if (object->service) {
		group = group_of(store, object->namespace, object->service->name, false);
		if (group && group->service == object->service) {
			group->service = NULL;
			mark_changed(store, group);
		}
	}
	for (unsigned i = 0; i < object->slice_count; i++) {
		const struct endpoint_slice *slice = &object->slices[i];

		group = group_of(store, object->namespace, slice->service_name, false);
		if (group) {
			group_drop_slice(group, slice);
			mark_changed(store, group);
		}
	}
}

/* ---- objects ---- */

static void make_key(char *key, const char *namespace, const char *name)
{
	snprintf(key, KEY_SIZE, "%s/%s", namespace, name);
}

static void stored_free(struct stored_object *stored)
{
	object_clear(&stored->object);
	free(stored->key);
	free(stored);
}

/* Takes over the content of @object, which is empty then; NULL when memory is short. */
static struct stored_object *stored_new(struct object *object)
{
	struct stored_object *stored = calloc(1, sizeof(*stored));
	char key[KEY_SIZE];

	make_key(key, object->namespace, object->name);
	if (stored)
		stored->key = strdup(key);
	if (!stored || !stored->key) {
		free(stored);
		return NULL;
	}
	stored->object = *object;
	memset(object, 0, sizeof(*object));
	return stored;
}

static struct stored_object *find_stored(struct stored_object *objects, const char *key)
{
	struct stored_object *stored;

	HASH_FIND_STR(objects, key, stored);
	return stored;
}

static int add_stored(struct stored_object **objects, struct stored_object *stored)
{
	HASH_ADD_KEYPTR(hh, *objects, stored->key, strlen(stored->key), stored);
	return stored->hh.tbl ? 0 : -ENOMEM;
}

static void drop_stored(struct store_scope *scope, struct stored_object *stored)
{
	unlink_object(scope->store, &stored->object);
	HASH_DEL(scope->objects, stored);
	stored_free(stored);
}

/* Puts @stored, which it takes over, in the place of an object of the same key. */
static int put_stored(struct store_scope *scope, struct stored_object *stored)
{
	struct stored_object *old = find_stored(scope->objects, stored->key);
	int rc = link_object(scope->store, &stored->object);

	if (rc == 0) {
		stored->listed = true;
		/* The new one first: the Service must not look gone in between. */
		if (old)
			drop_stored(scope, old);
		rc = add_stored(&scope->objects, stored);
		if (rc == 0)
			return 0;
		unlink_object(scope->store, &stored->object);
	} else if (old) {
		old->listed = true;
	}
	stored_free(stored);
	return rc;
}

static const char *service_of(const struct object *object)
{
	if (object->service)
		return object->service->name;
	return object->slice_count ? object->slices[0].service_name : object->name;
}

static bool is_wanted(const struct store_scope *scope, const struct object *object)
{
	return !scope->wanted || scope->wanted(scope->ctx, object->namespace, service_of(object));
}

/* ---- sink ---- */

static void discard_staged(struct store_scope *scope)
{
	struct stored_object *stored, *next;

	HASH_ITER (hh, scope->staged, stored, next) {
		HASH_DEL(scope->staged, stored);
		stored_free(stored);
	}
}

static int sink_replace_begin(void *ctx)
{
	struct store_scope *scope = ctx;
	struct stored_object *stored, *next;

	discard_staged(scope);
	HASH_ITER (hh, scope->objects, stored, next)
		stored->listed = false;
	return 0;
}

static int sink_replace_item(void *ctx, struct object *object)
{
	struct store_scope *scope = ctx;
	struct stored_object *stored;
	struct stored_object *twin;
	int rc;

	if (!is_wanted(scope, object))
		return 0;
	stored = stored_new(object);
	if (!stored)
		return -ENOMEM;
	twin = find_stored(scope->staged, stored->key);
	if (twin) {
		HASH_DEL(scope->staged, twin);
		stored_free(twin);
	}
	rc = add_stored(&scope->staged, stored);
	if (rc < 0)
		stored_free(stored);
	return rc;
}

static struct stored_object *find_object(const struct store_scope *scope, const char *namespace,
					 const char *name)
{
	char key[KEY_SIZE];

	make_key(key, namespace, name);
	return find_stored(scope->objects, key);
}

static int sink_replace_keep(void *ctx, const char *namespace, const char *name)
{
	struct stored_object *stored = find_object(ctx, namespace, name);

	if (stored)
		stored->listed = true;
	return 0;
}

static void sink_replace_commit(void *ctx)
{
	struct store_scope *scope = ctx;
	struct stored_object *stored, *next;

	HASH_ITER (hh, scope->staged, stored, next) {
		HASH_DEL(scope->staged, stored);
		put_stored(scope, stored);
	}
	HASH_ITER (hh, scope->objects, stored, next) {
		if (!stored->listed)
			drop_stored(scope, stored);
	}
}

static void sink_replace_abort(void *ctx)
{
	discard_staged(ctx);
}

static void sink_remove(void *ctx, const char *namespace, const char *name)
{
	struct stored_object *stored = find_object(ctx, namespace, name);

	if (stored)
		drop_stored(ctx, stored);
}

static int sink_upsert(void *ctx, struct object *object)
{
	struct store_scope *scope = ctx;
	struct stored_object *stored;

	if (!is_wanted(scope, object)) {
		sink_remove(scope, object->namespace, object->name);
		return 0;
	}
	stored = stored_new(object);
	if (!stored)
		return -ENOMEM;
	/* stored_new() emptied @object; the reflector still wants to know how far it has come. */
	memcpy(object->resource_version, stored->object.resource_version,
	       sizeof(object->resource_version));
	return put_stored(scope, stored);
}

struct reflector_sink store_scope_sink(struct store_scope *scope)
{
	return (struct reflector_sink){
		.replace_begin = sink_replace_begin,
		.replace_item = sink_replace_item,
		.replace_keep = sink_replace_keep,
		.replace_commit = sink_replace_commit,
		.replace_abort = sink_replace_abort,
		.upsert = sink_upsert,
		.remove = sink_remove,
		.ctx = scope,
	};
}

/* ---- interface ---- */

int store_new(struct store **ret_store)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	*ret_store = store;
	return 0;
}

int store_scope_open(struct store *store,
		     bool (*wanted)(void *ctx, const char *namespace, const char *service),
		     void *ctx, struct store_scope **ret_scope)
{
	struct store_scope *scope = calloc(1, sizeof(*scope));

	if (!scope)
		return -ENOMEM;
	scope->store = store;
	scope->wanted = wanted;
	scope->ctx = ctx;
	scope->next = store->scopes;
	store->scopes = scope;
	*ret_scope = scope;
	return 0;
}

void store_scope_close(struct store_scope *scope)
{
	struct stored_object *stored, *next;
	struct store_scope **link;

	if (!scope)
		return;
	discard_staged(scope);
	HASH_ITER (hh, scope->objects, stored, next)
		drop_stored(scope, stored);
	for (link = &scope->store->scopes; *link != scope; link = &(*link)->next)
		;
	*link = scope->next;
	free(scope);
}

bool store_take_changed(struct store *store, struct service_state *ret_state)
{
	struct service_group *group = store->first_changed;

	if (store->taken && !store->taken->changed && group_is_empty(store->taken))
		group_free(store, store->taken);
	store->taken = group;
	if (!group)
		return false;
	store->first_changed = group->next_changed;
	if (!store->first_changed)
		store->last_changed = NULL;
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

void store_touch_all(struct store *store)
{
	for (struct service_group *group = store->groups; group; group = group->hh.next)
		mark_changed(store, group);
}

unsigned store_service_count(const struct store *store)
{
	unsigned count = 0;

	for (struct service_group *group = store->groups; group; group = group->hh.next)
		count += !group_is_empty(group);
	return count;
}

void store_free(struct store *store)
{
	struct service_group *group, *next;

	if (!store)
		return;
	while (store->scopes)
		store_scope_close(store->scopes);
	HASH_ITER (hh, store->groups, group, next)
		group_free(store, group);
	free(store);
}
