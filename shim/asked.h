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

/* The same for a port that was found; right only if table_read_valid() says so afterwards. Calls
 * nothing of libc's. */
bool asked_covers_found(const struct config *config, const struct table_read *read,
			const struct table_port *port);

/* The same for a port that was looked up by its Service's name. */
bool asked_covers_port(const struct config *config, const struct table_read *read,
		       const char *namespace, const char *name, const struct table_port *port);

/* What a name of the cluster's domain means: a Service or, with @pod not "", one pod of it. */
struct asked_name {
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
	char pod[DNS_LABEL_SIZE];
};

enum asked_kind {
	ASKED_OTHER,   /* anybody may have this name */
	ASKED_NOTHING, /* within ".svc.DOMAIN", of a form that no address has there */
	ASKED_SERVICE, /* NAME.NAMESPACE.svc.DOMAIN */
	ASKED_POD,     /* POD.NAME.NAMESPACE.svc.DOMAIN, for a headless Service */
};

/*
 * The forms of the Kubernetes DNS specification (kubernetes/dns, docs/specification.md, 2.3 and
 * 2.4). @name and @cluster_domain: whole names in lower case, without dots at their ends.
 * @ret_name is written for the last two kinds.
 */
enum asked_kind asked_kind_of(const char *name, const char *cluster_domain,
			      struct asked_name *ret_name);

/* An entry asks for the Service that the name is of. */
bool asked_covers(const struct config *config, const struct asked_name *name);

#endif
