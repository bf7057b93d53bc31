/* How the resolver of this host, as it is set up now, looks for a name. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_RESOLVER_H
#define K8SLB_SHIM_RESOLVER_H

#include <stdbool.h>

#include "config/config.h"
#include "resolv_conf.h"

/* Keeps LOCALDOMAIN, RES_OPTIONS and HOSTALIASES, once, when the environment is read. */
void resolver_init(const struct config_source *source);

struct resolver {
	struct resolv_conf conf;
	uint32_t other_modules; /* 1: nsswitch.conf asks something else before DNS */
	uint32_t reserved;
};

/*
 * The rules as of now. One stat(2) of resolv.conf; where that has changed, it and nsswitch.conf are
 * read again. No malloc, no lock, no stdio; keeps errno. K8SLB_NAMES=always: the rules of a Pod of
 * K8SLB_NAMESPACE, with the domain of @ret_domain.
 * @ret_domain: the cluster's domain, "cluster.local" where the search list does not tell.
 */
void resolver_now(struct resolver *ret_resolver, char ret_domain[RESOLV_NAME_SIZE]);

/* HOSTALIASES may stand for this name: only glibc looks there, and only without a dot. */
bool resolver_has_alias(const char *host);

#endif
