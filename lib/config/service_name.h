/* Is this host name a configured Service? */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CONFIG_SERVICE_NAME_H
#define K8SLB_CONFIG_SERVICE_NAME_H

#include <stdbool.h>

#include "config/config.h"

struct service_name {
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
};

/*
 * Takes "svc", "svc.ns", "svc.ns.svc" and "svc.ns.svc.<cluster_domain>" (Kubernetes "DNS for
 * Services and Pods"), any case, one trailing dot allowed on the full form and the others, when an
 * entry of K8SLB_SERVICES covers the result; writes it in lower case. A name of another form, too
 * long, or of another domain is not ours.
 * @cluster_domain: without dots at its ends, "cluster.local" as a rule.
 * Async-signal-safe, no allocation.
 */
bool service_name_match(const struct config *config, const char *cluster_domain, const char *host,
			struct service_name *ret_name);

/*
 * The same for a pod of a headless Service: "pod.svc", "pod.svc.ns" and so on, where what follows
 * the first dot is a name for service_name_match(). Whether there is such a pod, the table knows.
 */
bool pod_name_match(const struct config *config, const char *cluster_domain, const char *host,
		    struct service_name *ret_name, char ret_pod[DNS_LABEL_SIZE]);

/*
 * Finds the cluster domain in a resolv.conf text: the search entry "svc.<domain>" that kubelet
 * writes. Returns true and writes it, else false.
 */
bool cluster_domain_from_resolv_conf(const char *text, char *domain, size_t size);

#endif
