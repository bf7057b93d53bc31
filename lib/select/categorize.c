// SPDX-License-Identifier: Apache-2.0
/*
 * kube-proxy, pkg/proxy/topology.go, CategorizeEndpoints and topologyModeFromHints, for what a
 * connection to a ClusterIP uses:
 *
 *   internalTrafficPolicy Local: the ready ones of our node; if there are none, those of our node
 *       that serve while they terminate; no other node's, ever.
 *   otherwise: the ready ones that the topology admits; if no endpoint is ready anywhere, those
 *       that serve while they terminate, topology ignored.
 *
 * The topology comes from the hints of the ready endpoints alone, all or nothing; the Service's
 * own trafficDistribution is the controller's business, which turns it into hints.
 */
#include "select/categorize.h"

#include <string.h>

static bool has_hint(const char *const *hints, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(hints[i], name) == 0)
			return true;
	}
	return false;
}

static bool hinted_for_node(const struct slice_endpoint *endpoint, const char *node)
{
	return has_hint(endpoint->node_hints, endpoint->node_hint_count, node);
}

static bool hinted_for_zone(const struct slice_endpoint *endpoint, const char *zone)
{
	return has_hint(endpoint->zone_hints, endpoint->zone_hint_count, zone);
}

static bool is_local(const struct slice_endpoint *endpoint, const struct select_location *location)
{
	return location->node[0] && strcmp(endpoint->node_name, location->node) == 0;
}

static bool serves_while_terminating(const struct slice_endpoint *endpoint)
{
	return endpoint->serving && endpoint->terminating;
}

static enum select_topology topology_from_hints(const struct selected_port *port,
						const struct select_location *location)
{
	bool any_ready = false;
	bool all_node_hints = true;
	bool all_zone_hints = true;
	bool our_node = false;
	bool our_zone = false;

	for (unsigned i = 0; i < port->endpoint_count; i++) {
		const struct slice_endpoint *endpoint = port->endpoints[i].endpoint;

		if (!endpoint->ready)
			continue;
		any_ready = true;
		all_node_hints &= endpoint->node_hint_count > 0;
		all_zone_hints &= endpoint->zone_hint_count > 0;
		our_node |= location->node[0] && hinted_for_node(endpoint, location->node);
		our_zone |= location->zone[0] && hinted_for_zone(endpoint, location->zone);
	}
	if (!any_ready)
		return SELECT_TOPOLOGY_NONE;
	if (all_node_hints && our_node)
		return SELECT_TOPOLOGY_NODE;
	if (all_zone_hints && our_zone)
		return SELECT_TOPOLOGY_ZONE;
	return SELECT_TOPOLOGY_NONE;
}

static void use(struct selected_port *port, struct selected_endpoint *endpoint,
		enum select_reason reason)
{
	endpoint->used = true;
	endpoint->reason = reason;
	port->used_count++;
}

/* What keeps an endpoint out before topology and policy are asked. */
static void mark_unready(struct selected_port *port)
{
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		const struct slice_endpoint *endpoint = port->endpoints[i].endpoint;

		port->endpoints[i].used = false;
		port->endpoints[i].reason =
			endpoint->terminating ? SELECT_TERMINATING : SELECT_NOT_READY;
	}
	port->used_count = 0;
}

static void use_ready_of_topology(struct selected_port *port,
				  const struct select_location *location)
{
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		struct selected_endpoint *selected = &port->endpoints[i];

		if (!selected->endpoint->ready)
			continue;
		switch (port->topology) {
		case SELECT_TOPOLOGY_NONE:
			use(port, selected, SELECT_READY);
			break;
		case SELECT_TOPOLOGY_NODE:
			if (hinted_for_node(selected->endpoint, location->node))
				use(port, selected, SELECT_READY_SAME_NODE);
			else
				selected->reason = SELECT_OTHER_NODE;
			break;
		case SELECT_TOPOLOGY_ZONE:
			if (hinted_for_zone(selected->endpoint, location->zone))
				use(port, selected, SELECT_READY_SAME_ZONE);
			else
				selected->reason = SELECT_OTHER_ZONE;
			break;
		}
	}
}

static void use_serving_terminating(struct selected_port *port)
{
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		if (serves_while_terminating(port->endpoints[i].endpoint))
			use(port, &port->endpoints[i], SELECT_SERVING_TERMINATING);
	}
}

static void use_local(struct selected_port *port, const struct select_location *location)
{
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		struct selected_endpoint *selected = &port->endpoints[i];

		if (!selected->endpoint->ready)
			continue;
		if (is_local(selected->endpoint, location)) {
			use(port, selected, SELECT_READY_LOCAL);
		} else {
			selected->reason = SELECT_NOT_LOCAL;
			port->usable_elsewhere = true;
		}
	}
	if (port->used_count)
		return;
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		struct selected_endpoint *selected = &port->endpoints[i];

		if (!serves_while_terminating(selected->endpoint))
			continue;
		if (is_local(selected->endpoint, location)) {
			use(port, selected, SELECT_LOCAL_TERMINATING);
		} else {
			selected->reason = SELECT_NOT_LOCAL;
			port->usable_elsewhere = true;
		}
	}
}

void categorize_headless(struct selected_port *port)
{
	static const struct select_location nowhere = {.node = "", .zone = ""};

	mark_unready(port);
	port->usable_elsewhere = false;
	port->topology = SELECT_TOPOLOGY_NONE;
	use_ready_of_topology(port, &nowhere);
}

void categorize_endpoints(struct selected_port *port, const struct select_location *location)
{
	mark_unready(port);
	port->usable_elsewhere = false;
	port->topology = SELECT_TOPOLOGY_NONE;
	if (port->local_only) {
		use_local(port, location);
		return;
	}
	/* Names of a headless Service are DNS's business, which knows no topology. */
	if (port->has_vip)
		port->topology = topology_from_hints(port, location);
	use_ready_of_topology(port, location);
	if (port->used_count == 0)
		use_serving_terminating(port);
}
