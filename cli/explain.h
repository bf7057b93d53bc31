/* What the files of `k8slb explain` share. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_EXPLAIN_H
#define K8SLB_CLI_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/service_ref.h"
#include "select/select.h"
#include "world.h"

/* One Service with what is to be told of it. */
struct explained {
	const struct service_state *state; /* its service is not NULL */
	const struct selection *selection;
	const struct selected_port **ports; /* those asked for, in the order to tell them */
	unsigned port_count;
	const struct select_location *location;
};

/*
 * Fills @ports (room for selection->port_count) with the ports of @selection that @ref asks for
 * (NULL: all): in the order of the Service, each with IPv4 before IPv6. A headless Service has the
 * families that it names, and any other of which there are endpoints. Returns their number.
 */
unsigned explain_ports(const struct service *service, const struct selection *selection,
		       const struct service_ref *ref, const struct selected_port **ports);

/*
 * The zone that the endpoints of @node have, or NULL when none has any or they disagree. Lives as
 * long as the world.
 */
const char *explain_zone_of_node(const struct world *world, const char *node);

/* Why kube-proxy passes this Service by, or NULL when it serves it or it is headless. */
const char *explain_why_skipped(const struct service *service);

/* Writes why the port has its topology, for people. */
void explain_topology(const struct selected_port *port, const struct select_location *location,
		      char *text, size_t size);

/*
 * Both forms write to standard output: begin, each Service once, end; cli_finish_output() tells of
 * errors. The text form returns 0 or -ENOMEM.
 */
void explain_json_begin(void);
void explain_json(const struct explained *explained);
void explain_json_end(void);

/* With how each is known; "": it was said. */
void explain_text_begin(const struct select_location *location, const char *node_evidence,
			const char *zone_evidence);
int explain_text(const struct explained *explained);

/* For a Service of which nothing else can be told. */
void explain_text_skipped(const struct service *service);

#endif
