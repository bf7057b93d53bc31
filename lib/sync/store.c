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
#include "sync/groups.h"

#define KEY_SIZE (DNS_LABEL_SIZE + OBJECT_NAME_SIZE)

/* What a list says of an object waits in @next until the list is whole: all that can fail is done
 * by then, so a list counts as a whole or not at all, also when there is no memory. */
struct stored_object {
	char *key;	       /* namespace/name */
	struct object *object; /* what counts; NULL: nothing yet */
	struct object *next;   /* or NULL */
	bool listed;	       /* in the list that is being taken in */
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
	struct groups groups;
	struct store_scope *scopes;
	struct logger logger;
	struct log_once told;
};

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
		unsigned count = groups_slices(&store->groups, object->namespace, service, listed);

		if (count && count + object->slice_count > LIMIT_SLICES + freed) {
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

	if (stored)
		old = listed ? stored->next : stored->object;
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

static void free_object(struct object *object)
{
	object_clear(object);
	free(object);
}

static void forget_next(struct store_scope *scope, struct stored_object *stored)
{
	if (!stored->next)
		return;
	groups_unreserve(&scope->store->groups, stored->next);
	amount_take(&scope->staged, stored->next);
	free_object(stored->next);
	stored->next = NULL;
}

static void drop_stored(struct store_scope *scope, struct stored_object *stored)
{
	forget_next(scope, stored);
	if (stored->object) {
		groups_unlink(&scope->store->groups, stored->object);
		amount_take(&scope->present, stored->object);
	}
	HASH_DEL(scope->objects, stored);
	free_object(stored->object);
	free(stored->key);
	free(stored);
}

/* Takes over the content of @object, which is empty then. */
static int stage(struct store_scope *scope, struct object *object,
		 struct stored_object **ret_stored)
{
	struct stored_object *stored = stored_of(scope, object);
	struct object *next = stored ? malloc(sizeof(*next)) : NULL;
	int rc = next ? groups_reserve(&scope->store->groups, object) : -ENOMEM;

	if (rc < 0) {
		free(next);
		if (stored && !stored->object && !stored->next)
			drop_stored(scope, stored);
		return rc;
	}
	forget_next(scope, stored);
	*next = *object;
	stored->next = next;
	amount_add(&scope->staged, next);
	memset(object, 0, sizeof(*object));
	*ret_stored = stored;
	return 0;
}

/* What was staged counts. */
static void enter(struct store_scope *scope, struct stored_object *stored)
{
	struct object *old = stored->object;

	stored->object = stored->next;
	stored->next = NULL;
	amount_take(&scope->staged, stored->object);
	amount_add(&scope->present, stored->object);
	/* The new one first: the Service must not look gone in between. */
	groups_link(&scope->store->groups, stored->object);
	if (old) {
		groups_unlink(&scope->store->groups, old);
		amount_take(&scope->present, old);
	}
	free_object(old);
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
		if (!stored->object)
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
		if (!stored->next)
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
	return groups_take_changed(&store->groups, ret_state);
}

void store_touch_all(struct store *store)
{
	groups_touch_all(&store->groups);
}

void store_free(struct store *store)
{
	if (!store)
		return;
	while (store->scopes)
		store_scope_close(store->scopes);
	groups_free(&store->groups);
	free(store);
}
