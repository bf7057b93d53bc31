// SPDX-License-Identifier: Apache-2.0
/* The form for people: a header line for each Service port, a row for each endpoint. */
#include <stdio.h>

#include "columns.h"
#include "explain.h"

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

/* What, and by what it is known. */
static void print_known(const char *what, const char *name, const char *evidence)
{
	printf("%s %s", what, name[0] ? name : "not known");
	if (name[0] && evidence[0])
		printf(" (%s)", evidence);
}

void explain_text_begin(const struct select_location *location, const char *node_evidence,
			const char *zone_evidence)
{
	if (!location->node[0] && !location->zone[0]) {
		printf("Here: neither node nor zone is known (--node, --zone)\n");
		return;
	}
	print_known("Here: node", location->node, node_evidence);
	print_known(", zone", location->zone, zone_evidence);
	putchar('\n');
}

void explain_text_skipped(const struct service *service)
{
	const char *why = explain_why_skipped(service);

	printf("\n%s/%s: passed by: %s\n", service->namespace, service->name,
	       why ? why : "it has no ports");
}

static void print_header(const struct explained *explained, const struct selected_port *port)
{
	const struct service_state *state = explained->state;
	char vip[IP_TEXT_SIZE];
	char why[384];

	printf("\n%s/%s", state->namespace, state->name);
	if (port->name[0])
		printf(":%s", port->name);
	printf("  ");
	if (port->port)
		printf("%u/", port->port);
	printf("%s  ", protocol_name(port->protocol));
	if (!port->has_vip) {
		printf("%s, no VIP: its names answer with every ready endpoint%s\n",
		       port->family == IP_FAMILY_6 ? "IPv6" : "IPv4",
		       state->service->made_up ? " (the Service itself may not be read)" : "");
		return;
	}
	ip_format(&port->vip, vip, sizeof(vip));
	printf("VIP %s, policy %s, affinity ", vip, port->local_only ? "Local" : "Cluster");
	if (explained->selection->affinity_timeout_s)
		printf("ClientIP %u s", explained->selection->affinity_timeout_s);
	else
		printf("None");
	explain_topology(port, explained->location, why, sizeof(why));
	printf(", topology %s: %s\n",
	       port->topology == SELECT_TOPOLOGY_NODE	? "node"
	       : port->topology == SELECT_TOPOLOGY_ZONE ? "zone"
							: "none",
	       why);
}

static int add_row(struct columns *columns, const char *namespace,
		   const struct selected_endpoint *selected)
{
	const struct slice_endpoint *endpoint = selected->endpoint;
	char address[IP_TEXT_SIZE];
	char pod[DNS_LABEL_SIZE + OBJECT_NAME_SIZE] = "";

	if (selected->port)
		ip_port_format(&selected->address, selected->port, address, sizeof(address));
	else
		ip_format(&selected->address, address, sizeof(address));
	if (endpoint->target_name[0])
		snprintf(pod, sizeof(pod), "%s/%s",
			 endpoint->target_namespace[0] ? endpoint->target_namespace : namespace,
			 endpoint->target_name);
	{
		const char *const cells[] = {
			selected->used ? "used" : "-",
			address,
			pod,
			endpoint->node_name,
			endpoint->zone,
			yes_no(endpoint->ready),
			yes_no(endpoint->serving),
			yes_no(endpoint->terminating),
			select_reason_word(selected->reason),
		};

		return columns_add(columns, cells, sizeof(cells) / sizeof(cells[0]));
	}
}

static int print_endpoints(const char *namespace, const struct selected_port *port)
{
	static const char *const titles[] = {"USE",   "ADDRESS", "POD",		"NODE",	 "ZONE",
					     "READY", "SERVING", "TERMINATING", "REASON"};
	struct columns columns = {0};
	int rc = columns_add(&columns, titles, sizeof(titles) / sizeof(titles[0]));

	for (unsigned i = 0; rc == 0 && i < port->endpoint_count; i++)
		rc = add_row(&columns, namespace, &port->endpoints[i]);
	if (rc == 0)
		columns_print(&columns, "  ");
	columns_free(&columns);
	return rc;
}

static void print_outcome(const struct explained *explained, const struct selected_port *port)
{
	if (port->used_count)
		return;
	if (!port->has_vip)
		printf("  none is used: its names have no address\n");
	else if (port->usable_elsewhere && !explained->location->node[0])
		printf("  none is used, because the node is not known: a connection is left to "
		       "kube-proxy\n");
	else if (port->usable_elsewhere)
		printf("  none is used: a connection is left to kube-proxy, which drops it\n");
	else
		printf("  none is used: a connection is left to kube-proxy, which refuses it\n");
}

int explain_text(const struct explained *explained)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < explained->port_count; i++) {
		const struct selected_port *port = explained->ports[i];

		print_header(explained, port);
		if (port->endpoint_count)
			rc = print_endpoints(explained->state->namespace, port);
		print_outcome(explained, port);
	}
	return rc;
}
