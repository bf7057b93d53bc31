/* Host name to addresses out of the table, for all calls that look up names. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_RESOLVE_H
#define K8SLB_SHIM_RESOLVE_H

#include "resolved.h"

enum resolve_result {
	RESOLVE_LEAVE, /* libc is to answer: not ours, or any doubt */
	RESOLVE_FOUND,
	RESOLVE_NO_DATA, /* the Service is known but has no address of the family */
	RESOLVE_NEXT,	 /* no such name: the resolver would ask for the next one */
};

/*
 * A name is ours where the resolver of this host would have gone to the cluster for it: the names
 * that it would ask for are taken in its order (resolv_conf.h), and the first that can exist
 * decides. A name that ends in ".svc.DOMAIN" is ours under any search list. Everything else is
 * libc's: names of this host and of /etc/hosts, what another nsswitch module is asked for before
 * DNS, and what the table does not know for sure.
 *
 * With K8SLB_RESOLVE=vip the Service's VIPs: every later connect() is then balanced anew, and what
 * bypasses our connect() is served by kube-proxy. With `endpoint` the next endpoint of the asked
 * port and the others after it, each with its own port. A headless Service's addresses are DNS's:
 * all that are ready, whatever their ports, with the caller's port; only which one is first goes
 * round. A pod of it is found by its own name.
 *
 * Starts the engine and waits for the first table like any first call. Keeps errno.
 * @ret_resolved: made by resolved_init(), to be freed by resolved_free() whatever the result; says
 * something on RESOLVE_FOUND alone. RESOLVE_NEXT is not returned.
 */
enum resolve_result resolve(const struct resolve_query *query, struct resolved *ret_resolved);

#endif
