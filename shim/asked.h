/* What K8SLB_SERVICES asks for: addresses, ports of Services, and host names. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_ASKED_H
#define K8SLB_SHIM_ASKED_H

#include <stdbool.h>

#include "config/config.h"
#include "table/reader.h"

/* All of it is async-signal-safe, allocates nothing and makes no system call. */

/* Without a table: could this be the address of an entry's Service? */
bool asked_could_match(const struct config *config, const struct ip_address *ip, uint16_t port);

/*
 * An entry asks for the port that (@vip, @port) is in the table, for a table that has more than
 * that. False where it is not known by now.
 */
bool asked_covers_vip(const struct config *config, const struct table_view *view,
		      const struct ip_address *vip, uint16_t port);

/* The same for a port that was looked up by its Service's name. */
bool asked_covers_port(const struct config *config, const struct table_read *read,
		       const char *namespace, const char *name, const struct table_port *port);

/* What a host name may mean: a Service or, with @pod not "", one pod of it. */
struct asked_name {
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
	char pod[DNS_LABEL_SIZE];
};

/*
 * Takes "svc", "svc.ns", "svc.ns.svc" and "svc.ns.svc.<cluster_domain>" (Kubernetes "DNS for
 * Services and Pods"), any case, one trailing dot allowed on the full form and the others, when an
 * entry covers the result; writes it in lower case. A name of another form, too long, or of another
 * domain is not ours.
 * @cluster_domain: without dots at its ends, "cluster.local" as a rule.
 */
bool asked_service(const struct config *config, const char *cluster_domain, const char *host,
		   struct asked_name *ret_name);

/*
 * The same for a pod of a headless Service: "pod.svc", "pod.svc.ns" and so on, where what follows
 * the first dot is a name for asked_service(). Whether there is such a pod, the table knows.
 */
bool asked_pod(const struct config *config, const char *cluster_domain, const char *host,
	       struct asked_name *ret_name);

#endif
