// SPDX-License-Identifier: Apache-2.0
#include "publish/quota.h"

#include <stdlib.h>
#include <string.h>

/* A failed allocation must not end the host, which is uthash's default. */
#define HASH_NONFATAL_OOM 1
/* Names come from outside, as in lib/sync/store.c. */
#define HASH_FUNCTION(key, length, hash) ((hash) = (unsigned)hash_secret(key, length))
#include <uthash.h>

#include "base/hash.h"
#include "base/limits.h"

struct quota_namespace {
	char name[DNS_LABEL_SIZE];
	uint64_t services;
	uint64_t ports;
	uint64_t endpoints;
	UT_hash_handle hh;
};

bool quota_has_room(const struct quota *quota, const char *namespace,
		    const struct arena_needs *less, const struct arena_needs *more)
{
	struct quota_namespace *found;

	HASH_FIND_STR(quota->namespaces, namespace, found);
	return !quota->limits || ((found ? found->endpoints : 0) + more->endpoints <=
					  (uint64_t)LIMIT_NAMESPACE_ENDPOINTS + less->endpoints &&
				  (found ? found->ports : 0) + more->ports <=
					  (uint64_t)LIMIT_NAMESPACE_PORTS + less->ports);
}

static struct quota_namespace *add(struct quota *quota, const char *namespace)
{
	struct quota_namespace *added = calloc(1, sizeof(*added));

	if (!added)
		return NULL;
	strcpy(added->name, namespace);
	HASH_ADD_STR(quota->namespaces, name, added);
	if (added->hh.tbl)
		return added;
	free(added);
	return NULL;
}

/* What could not be counted in is counted out all the same. */
static void change(uint64_t *count, uint64_t by, int sign)
{
	if (sign > 0)
		*count += by;
	else
		*count -= by < *count ? by : *count;
}

void quota_count(struct quota *quota, const char *namespace, const struct arena_needs *needs,
		 int sign)
{
	struct quota_namespace *found;

	if (!quota->limits)
		return;
	HASH_FIND_STR(quota->namespaces, namespace, found);
	if (!found && sign > 0)
		found = add(quota, namespace);
	if (!found)
		return;
	change(&found->services, needs->services, sign);
	change(&found->ports, needs->ports, sign);
	change(&found->endpoints, needs->endpoints, sign);
	if (found->services == 0) {
		HASH_DEL(quota->namespaces, found);
		free(found);
	}
}

void quota_free(struct quota *quota)
{
	struct quota_namespace *found, *next;

	HASH_ITER (hh, quota->namespaces, found, next) {
		HASH_DEL(quota->namespaces, found);
		free(found);
	}
}
