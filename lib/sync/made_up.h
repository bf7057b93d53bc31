/* Stand-ins for Services that may not be read, made from the entries of K8SLB_SERVICES. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_MADE_UP_H
#define K8SLB_SYNC_MADE_UP_H

#include "base/service_ref.h"
#include "sync/store.h"

/*
 * Puts one Service for each name in @refs of this namespace ("*": of any), in a new scope of
 * @store: with the VIP and ports that its entries give, else headless. Entries with the name "*"
 * give none. Returns 0 or -ENOMEM.
 */
int made_up_services(const struct service_ref *refs, unsigned ref_count, const char *namespace,
		     struct store *store, struct store_scope **ret_scope);

#endif
