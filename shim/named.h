/* What the table says of one name of the cluster's domain. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_NAMED_H
#define K8SLB_SHIM_NAMED_H

#include "asked.h"
#include "resolve.h"

/*
 * Out of one snapshot: the answer may be torn until that was found valid. RESOLVE_NEXT: there is no
 * such name. A pod's is known not to exist where its namespace is held whole, or where the Service
 * of that name has a VIP. RESOLVE_NO_DATA is not returned: families are not looked at.
 */
enum resolve_result named_look_up(const struct table_read *read, const struct asked_name *asked,
				  const struct resolve_query *query, struct resolved *resolved);

#endif
