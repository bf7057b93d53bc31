/* The DNS domain of the cluster that this Pod lives in. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_CLUSTER_DOMAIN_H
#define K8SLB_SHIM_CLUSTER_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#define CLUSTER_DOMAIN_SIZE 254 /* a DNS name and its NUL */

/*
 * From the search line that the kubelet writes into /etc/resolv.conf, read at the first call;
 * "cluster.local" without one. For calls that look up names: it opens a file. Keeps errno.
 */
const char *cluster_domain(void);

/*
 * Finds the cluster domain in a resolv.conf text: the search entry "svc.<domain>". Returns true and
 * writes it, else false.
 */
bool cluster_domain_from_resolv_conf(const char *text, char *domain, size_t size);

#endif
