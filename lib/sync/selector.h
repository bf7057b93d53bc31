/* What a collection is asked for: its path, and which of its objects. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_SELECTOR_H
#define K8SLB_SYNC_SELECTOR_H

#include "base/buffer.h"

/* Each appends, and returns 0 or -errno. */

/* "/api/v1/namespaces/demo/services"; without the namespace when that is "*". */
int selector_path(const char *group_version, const char *namespace, const char *resource,
		  struct buffer *path);

/* "labelSelector=kubernetes.io/service-name in (a,b)", or nothing where it would not do. No
 * names: all. */
int selector_of_slices(const char *const *names, unsigned count, struct buffer *selector);

/* "fieldSelector=metadata.name=a": it takes one name and no set of them. NULL: all. */
int selector_of_name(const char *name, struct buffer *selector);

#endif
