// SPDX-License-Identifier: Apache-2.0
#include "sync/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failed allocation must not end the host, which is uthash's default. */
#define HASH_NONFATAL_OOM 1
/* Names come from outside: of those that uthash's own function puts into one bucket there are as
 * many as one likes. */
#define HASH_FUNCTION(key, length, hash) ((hash) = (unsigned)hash_secret(key, length))
#include <uthash.h>

#include "base/hash.h"
#include "base/limits.h"
#include "sync/amount.h"

#define KEY_SIZE (DNS_LABEL_SIZE + OBJECT_NAME_SIZE)

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

/* What a list says of an object waits in @next until the list is whole: all that can fail is done
 * by then, so a list counts as a whole or not at all, also when there is no memory. */
struct stored_object {
	char *key;	      /* namespace/name */
	bool present;	      /* @object is set */
	struct object object; /* what counts */
	bool listed;	      /* in the list that is being taken in */
	bool has_next;
	struct object next;
	UT_hash_handle hh;
};

struct store_scope {
	struct store *store;
	struct store_scope *next;
	bool (*wanted)(void *ctx, const char *namespace, const char *service);
	void *ctx;
	struct stored_object *objects;
	struct amount present;
	struct amount staged;
};

struct store {
	struct service_group *groups;
	struct service_group *first_changed;
	struct service_group *last_changed;
	struct service_group *taken; /* given out last; freed when it was empty */
	struct store_scope *scopes;
	struct logger logger;
	struct log_once told;
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

/* Gives back what was reserved for the first @count of them. */
static void unreserve(struct store *store, const struct object *object, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const char *name = named_service(object, i);
		struct service_group *group;

		if (!*name)
			continue;
		group = group_of(store, object->namespace, name, false);
		group->reserved--;
		if (group_is_empty(group) && !group->changed && store->taken != group)
			group_free(store, group);
	}
}

/* Makes the groups of an object, with room for it: link_object() cannot fail then. */
static int reserve(struct store *store, const struct object *object)
{
	const char *name;

	for (unsigned i = 0; (name = named_service(object, i)); i++) {
		struct service_group *group;

		if (!*name)
			continue;
		group = group_of(store, object->namespace, name, true);
		if (!group || group_reserve(group) < 0) {
			if (group && group_is_empty(group) && !group->changed &&
			    store->taken != group)
				group_free(store, group);
			unreserve(store, object, i);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Links what the object says into its groups, in the room that was reserved. */
static void link_object(struct store *store, const struct object *object)
{
	struct service_group *group;

	if (object->service) {
		group = group_of(store, object->namespace, object->service->name, false);
		group->reserved--;
		group->service = object->service;
		mark_changed(store, group);
	}
	for (unsigned i = 0; i < object->slice_count; i++) {
		const struct endpoint_slice *slice = &object->slices[i];

		if (!slice->service_name[0])
			continue;
		group = group_of(store, object->namespace, slice->service_name, false);
		group->reserved--;
		group->slices[group->slice_count++] = slice;
		mark_changed(store, group);
	}
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

static struct stored_object *find_stored(const struct store_scope *scope, const char *namespace,
					 const char *name)
{
	struct stored_object *stored;
	char key[KEY_SIZE];

	make_key(key, namespace, name);
	HASH_FIND_STR(scope->objects, key, stored);
	return stored;
}

/* The object of this name, made when there is none; NULL when memory is short. */
static struct stored_object *stored_of(struct store_scope *scope, const struct object *object)
{
	struct stored_object *stored = find_stored(scope, object->namespace, object->name);
	char key[KEY_SIZE];

	if (stored)
		return stored;
	make_key(key, object->namespace, object->name);
	stored = calloc(1, sizeof(*stored));
	if (stored)
		stored->key = strdup(key);
	if (!stored || !stored->key) {
		free(stored);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, scope->objects, stored->key, strlen(stored->key), stored);
	if (!stored->hh.tbl) {
		free(stored->key);
		free(stored);
		return NULL;
	}
	return stored;
}

/* ---- limits ---- */

/* Whether the Services of @object's slices may have them, @freed of theirs gone. */
static bool slices_fit(struct store *store, const struct object *object, bool listed,
		       unsigned freed)
{
	for (unsigned i = 0; i < object->slice_count; i++) {
		const char *service = object->slices[i].service_name;
		const struct service_group *group =
			group_of(store, object->namespace, service, false);
		unsigned count;

		if (!group || !*service)
			continue;
		count = listed ? group->reserved : group->slice_count;
		if (count + object->slice_count > LIMIT_SLICES + freed) {
			log_once(&store->told, &store->logger, LOG_LEVEL_ERROR,
				 "Service %s/%s: more than %u slices: the others are left out",
				 object->namespace, service, LIMIT_SLICES);
			return false;
		}
	}
	return true;
}

/* Whether there is room for @object, beside what else is in the list (@listed) or in the scope; the
 * log is told when there is none. */
static bool fits(struct store_scope *scope, const struct object *object, bool listed)
{
	const struct stored_object *stored = find_stored(scope, object->namespace, object->name);
	const struct object *old = NULL;

	if (stored && (listed ? stored->has_next : stored->present))
		old = listed ? &stored->next : &stored->object;
	if (!amount_has_room(listed ? scope->staged : scope->present, object, old)) {
		/* Not by name: a flood has many. */
		log_once(&scope->store->told, &scope->store->logger, LOG_LEVEL_ERROR,
			 "more than %u objects or %u endpoints: %s %s/... are left out",
			 LIMIT_OBJECTS, LIMIT_ENDPOINTS, object_kind_name(object->kind),
			 object->namespace);
		return false;
	}
	return slices_fit(scope->store, object, listed, old ? old->slice_count : 0);
}

static void forget_next(struct store_scope *scope, struct stored_object *stored)
{
	unsigned count = 0;

	if (!stored->has_next)
		return;
	while (named_service(&stored->next, count))
		count++;
	unreserve(scope->store, &stored->next, count);
	amount_take(&scope->staged, &stored->next);
	object_clear(&stored->next);
	stored->has_next = false;
}

static void drop_stored(struct store_scope *scope, struct stored_object *stored)
{
	forget_next(scope, stored);
	if (stored->present) {
		unlink_object(scope->store, &stored->object);
		amount_take(&scope->present, &stored->object);
	}
	HASH_DEL(scope->objects, stored);
	object_clear(&stored->object);
	free(stored->key);
	free(stored);
}

/* Takes over the content of @object, which is empty then but for its version: the reflector still
 * wants to know how far it has come. */
static int stage(struct store_scope *scope, struct object *object,
		 struct stored_object **ret_stored)
{
	struct stored_object *stored = stored_of(scope, object);
	int rc = stored ? reserve(scope->store, object) : -ENOMEM;

	if (rc < 0) {
		if (stored && !stored->present && !stored->has_next)
			drop_stored(scope, stored);
		return rc;
	}
	forget_next(scope, stored);
	stored->next = *object;
	stored->has_next = true;
	amount_add(&scope->staged, &stored->next);
	memset(object, 0, sizeof(*object));
	memcpy(object->resource_version, stored->next.resource_version,
	       sizeof(object->resource_version));
	*ret_stored = stored;
	return 0;
}

/* What was staged counts. */
static void enter(struct store_scope *scope, struct stored_object *stored)
{
	struct object old = stored->object;

	stored->object = stored->next;
	stored->has_next = false;
	amount_take(&scope->staged, &stored->object);
	amount_add(&scope->present, &stored->object);
	/* The new one first: the Service must not look gone in between. */
	link_object(scope->store, &stored->object);
	if (stored->present) {
		unlink_object(scope->store, &old);
		amount_take(&scope->present, &old);
	}
	object_clear(&old);
	stored->present = true;
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

static void sink_replace_abort(void *ctx)
{
	struct store_scope *scope = ctx;
	struct stored_object *stored, *next;

	HASH_ITER (hh, scope->objects, stored, next) {
		forget_next(scope, stored);
		if (!stored->present)
			drop_stored(scope, stored);
	}
}

static int sink_replace_begin(void *ctx)
{
	struct store_scope *scope = ctx;

	sink_replace_abort(scope);
	for (struct stored_object *stored = scope->objects; stored; stored = stored->hh.next)
		stored->listed = false;
	return 0;
}

static int sink_replace_item(void *ctx, struct object *object)
{
	struct store_scope *scope = ctx;
	struct stored_object *stored;

	if (!is_wanted(scope, object) || !fits(scope, object, true))
		return 0;
	return stage(scope, object, &stored);
}

static int sink_replace_keep(void *ctx, const char *namespace, const char *name)
{
	struct stored_object *stored = find_stored(ctx, namespace, name);

	if (stored)
		stored->listed = true;
	return 0;
}

static void sink_replace_commit(void *ctx)
{
	struct store_scope *scope = ctx;
	struct stored_object *stored, *next;

	/* What is new first: an endpoint may have moved from one object to another. */
	for (stored = scope->objects; stored; stored = stored->hh.next) {
		if (!stored->has_next)
			continue;
		enter(scope, stored);
		stored->listed = true;
	}
	HASH_ITER (hh, scope->objects, stored, next) {
		if (!stored->listed)
			drop_stored(scope, stored);
	}
}

static void sink_remove(void *ctx, const char *namespace, const char *name)
{
	struct stored_object *stored = find_stored(ctx, namespace, name);

	if (stored)
		drop_stored(ctx, stored);
}

static int sink_upsert(void *ctx, struct object *object)
{
	struct store_scope *scope = ctx;
	struct stored_object *stored;
	int rc;

	if (!is_wanted(scope, object) || !fits(scope, object, false)) {
		sink_remove(scope, object->namespace, object->name);
		return 0;
	}
	rc = stage(scope, object, &stored);
	if (rc == 0)
		enter(scope, stored);
	return rc;
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

void store_set_logger(struct store *store, const struct logger *logger)
{
	store->logger = *logger;
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
