// SPDX-License-Identifier: Apache-2.0
/*
 * getaddrinfo(3): a configured Service name is answered from the table.
 *
 * All memory comes from libc's own getaddrinfo(), called with the numeric address: freeaddrinfo()
 * needs no hook then. musl's walks from a node to the block that it allocated and would write past
 * a node of ours.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/keep_errno.h"
#include "libc.h"
#include "resolve.h"
#include "state.h"

/* What a DNS name without an address of the asked family gives. */
static int no_data(void)
{
	/* musl before 1.2.4 does not know EAI_NODATA. */
	return libc_is_glibc() ? EAI_NODATA : EAI_NONAME;
}

static bool make_query(const char *node, const char *service, const struct addrinfo *hints,
		       struct resolve_query *ret_query)
{
	*ret_query = (struct resolve_query){.host = node, .family = AF_UNSPEC, .port = service};
	if (!node)
		return false;
	if (!hints)
		return true;
	/* The flag asks whether the node is a number: a name must fail. */
	if (hints->ai_flags & AI_NUMERICHOST)
		return false;
	ret_query->family = hints->ai_family;
	ret_query->addr_config = hints->ai_flags & AI_ADDRCONFIG;
	ret_query->v4_mapped = hints->ai_flags & AI_V4MAPPED;
	ret_query->all = hints->ai_flags & AI_ALL;
	if (hints->ai_socktype && hints->ai_socktype != SOCK_STREAM)
		ret_query->port = NULL;
	return hints->ai_family == AF_UNSPEC || hints->ai_family == AF_INET ||
	       hints->ai_family == AF_INET6;
}

/* One address as a list of libc's (one node for each socket type). */
static int numeric(const struct resolved_address *address, const char *service,
		   const struct addrinfo *hints, struct addrinfo **ret_list)
{
	struct addrinfo own = {.ai_family = AF_UNSPEC};
	char node[INET6_ADDRSTRLEN];
	char port[sizeof("65535")];

	if (hints) {
		own.ai_family = hints->ai_family;
		own.ai_socktype = hints->ai_socktype;
		own.ai_protocol = hints->ai_protocol;
		own.ai_flags = hints->ai_flags;
	}
	own.ai_flags |= AI_NUMERICHOST;
	/* A Pod that has only lo has no "configured" address, and libc would answer nothing. */
	own.ai_flags &= ~AI_ADDRCONFIG;
	ip_format(&address->ip, node, sizeof(node));
	if (address->port) {
		snprintf(port, sizeof(port), "%u", address->port);
		service = port;
	}
	return libc_getaddrinfo(node, service, &own, ret_list);
}

/* libc wrote the number there. Only glibc frees the string by itself, with free(). */
static void set_canonical_name(struct addrinfo *first, const char *host)
{
	char *copy = first->ai_canonname ? strdup(host) : NULL;

	if (copy) {
		free(first->ai_canonname);
		first->ai_canonname = copy;
	}
}

/* Keeps errno. */
static int answer(const struct resolved *resolved, const char *service,
		  const struct addrinfo *hints, struct addrinfo **ret_list)
{
	KEEP_ERRNO();
	struct addrinfo rest_hints;
	struct addrinfo *list = NULL;
	struct addrinfo **tail = &list;
	int rc = numeric(&resolved->addresses[0], service, hints, &list);

	if (rc != 0)
		return rc;
	/* musl frees a list by its first node's block: lists of two calls cannot be joined. */
	if (libc_is_glibc()) {
		set_canonical_name(list, resolved->host);
		if (hints) {
			rest_hints = *hints;
			rest_hints.ai_flags &= ~AI_CANONNAME; /* only of the first node */
		}
		for (unsigned i = 1; i < resolved->count; i++) {
			while (*tail)
				tail = &(*tail)->ai_next;
			if (numeric(&resolved->addresses[i], service, hints ? &rest_hints : NULL,
				    tail) != 0)
				break;
		}
	}
	*ret_list = list;
	return 0;
}

/*
 * musl's lists cannot be joined, so of several addresses ours would be one. DNS has them all; where
 * it has nothing, outside of a cluster, one is better than none. An endpoint with its own port is
 * not DNS's to tell.
 */
static bool is_for_libc(const struct resolved *resolved)
{
	return !libc_is_glibc() && resolved->count > 1 && !resolved->addresses[0].port;
}

/* False when libc is to answer. A function of its own, so that libc's lookup, which is deep, does
 * not stand on its memory. */
__attribute__((noinline)) static bool look_up(const struct resolve_query *query,
					      const char *service, const struct addrinfo *hints,
					      struct addrinfo **ret_list, int *ret_rc)
{
	struct resolved resolved;
	enum resolve_result result;
	int rc = no_data();

	resolved_init(&resolved);
	result = resolve(query, &resolved);
	if (result == RESOLVE_FOUND) {
		rc = is_for_libc(&resolved)
			     ? libc_getaddrinfo(query->host, service, hints, ret_list)
			     : EAI_FAIL;
		if (rc != 0)
			rc = answer(&resolved, service, hints, ret_list);
	}
	resolved_free(&resolved);
	*ret_rc = rc;
	/* A failure is the caller's (bad service, bad flags): libc says which. */
	return result == RESOLVE_NO_DATA || (result == RESOLVE_FOUND && rc == 0);
}

static int shim_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			    struct addrinfo **ret_list)
{
	struct resolve_query query;
	int rc;

	if (make_query(node, service, hints, &query) &&
	    look_up(&query, service, hints, ret_list, &rc))
		return rc;
	return libc_getaddrinfo(node, service, hints, ret_list);
}

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
						       const struct addrinfo *hints,
						       struct addrinfo **ret_list)
{
	return shim_active() ? shim_getaddrinfo(node, service, hints, ret_list)
			     : libc_getaddrinfo(node, service, hints, ret_list);
}
