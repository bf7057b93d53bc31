// SPDX-License-Identifier: Apache-2.0
/*
 * The JSON form (docs/explain.md). Written without a tree: the shape is fixed, and only strings
 * need care.
 */
#include <stdio.h>
#include <string.h>

#include "explain.h"
#include "json_text.h"

static bool first_element;

static void put_member(const char *name, const char *text)
{
	printf("\"%s\":", name);
	json_put_string(text);
}

static void put_member_or_null(const char *name, const char *text)
{
	if (*text)
		put_member(name, text);
	else
		printf("\"%s\":null", name);
}

static const char *topology_word(enum select_topology topology)
{
	switch (topology) {
	case SELECT_TOPOLOGY_ZONE:
		return "zone";
	case SELECT_TOPOLOGY_NODE:
		return "node";
	case SELECT_TOPOLOGY_NONE:
		break;
	}
	return "none";
}

static void put_endpoint(const char *namespace, const struct selected_endpoint *selected)
{
	const struct slice_endpoint *endpoint = selected->endpoint;
	char address[IP_TEXT_SIZE];
	char pod[DNS_LABEL_SIZE + OBJECT_NAME_SIZE] = "";

	ip_format(&selected->address, address, sizeof(address));
	if (endpoint->target_name[0])
		snprintf(pod, sizeof(pod), "%s/%s",
			 endpoint->target_namespace[0] ? endpoint->target_namespace : namespace,
			 endpoint->target_name);
	putchar('{');
	put_member("address", address);
	printf(",\"port\":%u,", selected->port);
	put_member_or_null("pod", pod);
	putchar(',');
	put_member_or_null("node", endpoint->node_name);
	putchar(',');
	put_member_or_null("zone", endpoint->zone);
	printf(",\"used\":%s,", selected->used ? "true" : "false");
	put_member("reason", select_reason_word(selected->reason));
	putchar('}');
}

static void put_port(const struct explained *explained, const struct selected_port *port)
{
	const struct service_state *state = explained->state;
	char vip[IP_TEXT_SIZE] = "";

	if (port->has_vip)
		ip_format(&port->vip, vip, sizeof(vip));
	printf("%s\n{", first_element ? "" : ",");
	first_element = false;
	put_member("namespace", state->namespace);
	putchar(',');
	put_member("service", state->name);
	printf(",\"port\":{");
	put_member("name", port->name);
	printf(",\"number\":%u,", port->port);
	put_member("protocol", protocol_name(port->protocol));
	printf("},\"family\":\"%s\",", port->family == IP_FAMILY_6 ? "IPv6" : "IPv4");
	put_member_or_null("vip", vip);
	if (explained->selection->affinity_timeout_s)
		printf(",\"affinity\":{\"type\":\"ClientIP\",\"timeoutSeconds\":%u}",
		       explained->selection->affinity_timeout_s);
	else
		printf(",\"affinity\":null");
	printf(",\"topology\":\"%s\",\"endpoints\":[", topology_word(port->topology));
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		if (i)
			putchar(',');
		put_endpoint(state->namespace, &port->endpoints[i]);
	}
	printf("]}");
}

void explain_json_begin(void)
{
	first_element = true;
	putchar('[');
}

void explain_json(const struct explained *explained)
{
	for (unsigned i = 0; i < explained->port_count; i++)
		put_port(explained, explained->ports[i]);
}

void explain_json_end(void)
{
	printf("%s]\n", first_element ? "" : "\n");
}
