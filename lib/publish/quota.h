/* How much of a table each namespace takes, so that none fills it for all others. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PUBLISH_QUOTA_H
#define K8SLB_PUBLISH_QUOTA_H

#include <stdbool.h>

#include "publish/arena.h"

/* All zero: nothing is counted and nothing refused. */
struct quota {
	bool limits; /* base/limits.h: LIMIT_NAMESPACE_... */
	struct quota_namespace *namespaces;
};

/* With @more in the place of @less, of which the namespace has as much. */
bool quota_has_room(const struct quota *quota, const char *namespace,
		    const struct arena_needs *less, const struct arena_needs *more);

/* Counts @needs in, or with @sign -1 out again. Without memory for it the namespace is not counted.
 */
void quota_count(struct quota *quota, const char *namespace, const struct arena_needs *needs,
		 int sign);

void quota_free(struct quota *quota);

#endif
