// SPDX-License-Identifier: Apache-2.0
/*
 * For each Service, each of its ports and each family with a VIP:
 *   collect the endpoints of that port from all slices (collect.c)
 *   -> mark the ones to use, with a reason (categorize.c).
 * A Service without VIP has its endpoints in every family, for name lookups.
 */
#include "select/select.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "select/categorize.h"
#include "select/collect.h"

/* kube-proxy, pkg/proxy/util/utils.go ShouldSkipService, and its informers' label selector. */
static bool is_left_alone(const struct service *service)
{
	return service->external_name || service->other_proxy ||
	       (!service->headless && service->cluster_ip_count == 0);
}

/* How many endpoints its ports may have together. */
static size_t room_of(const struct service_state *state)
{
	size_t room = 0;

	for (unsigned s = 0; s < state->slice_count; s++)
		room += (size_t)state->slices[s]->endpoint_count * LIMIT_ENDPOINTS_PER_ENTRY;
	return room > LIMIT_SERVICE_ENDPOINTS ? room : LIMIT_SERVICE_ENDPOINTS;
}

static struct selected_port *add_port(struct selection *selection)
{
	struct selected_port *grown =
		realloc(selection->ports, (selection->port_count + 1) * sizeof(*grown));

	if (!grown)
		return NULL;
	selection->ports = grown;
	memset(&grown[selection->port_count], 0, sizeof(*grown));
	return &grown[selection->port_count++];
}

/* Fills in the endpoints of the port that was added last. */
static int add_endpoints(const struct service_state *state, const struct select_location *location,
			 struct selection *selection)
{
	struct selected_port *port = &selection->ports[selection->port_count - 1];
	int rc = collect_endpoints(state, state->service, location->node, selection->room, port);

	if (rc == -E2BIG) {
		selection->port_count--;
		selection->left_out++;
		return 0;
	}
	if (rc < 0)
		return rc;
	selection->room -= port->endpoint_count;
	/* What was made up for want of rights may well have a VIP. */
	if (state->service->headless && !state->service->made_up)
		categorize_headless(port);
	else
		categorize_endpoints(port, location);
	if (port->port == 0 && port->endpoint_count && !port->addresses)
		port->port = port->endpoints[0].port;
	return 0;
}

static int add_service_port(const struct service_state *state,
			    const struct select_location *location,
			    const struct service_port *service_port, enum ip_family family,
			    const struct ip_address *vip, struct selection *selection)
{
	struct selected_port *port = add_port(selection);

	if (!port)
		return -ENOMEM;
	strcpy(port->name, service_port->name);
	port->port = service_port->port;
	port->protocol = service_port->protocol;
	port->family = family;
	port->has_vip = vip != NULL;
	if (vip)
		port->vip = *vip;
	port->local_only = vip && state->service->internal_traffic_local;
	return add_endpoints(state, location, selection);
}

static bool has_port_named(const struct selection *selection, const struct slice_port *slice_port,
			   enum ip_family family)
{
	for (unsigned i = 0; i < selection->port_count; i++) {
		const struct selected_port *port = &selection->ports[i];

		if (port->family == family && port->protocol == slice_port->protocol &&
		    strcmp(port->name, slice_port->name) == 0)
			return true;
	}
	return false;
}

/* A Service made up without ports: what the slices offer. */
static int add_ports_of_slices(const struct service_state *state,
			       const struct select_location *location, enum ip_family family,
			       struct selection *selection)
{
	for (unsigned s = 0; s < state->slice_count; s++) {
		const struct endpoint_slice *slice = state->slices[s];

		if (slice->family != family)
			continue;
		for (unsigned p = 0; p < slice->port_count; p++) {
			const struct slice_port *slice_port = &slice->ports[p];
			struct service_port service_port = {
				.protocol = slice_port->protocol,
				.port = slice_port->port,
			};
			int rc;

			if (slice_port->port == 0 || has_port_named(selection, slice_port, family))
				continue;
			strcpy(service_port.name, slice_port->name);
			rc = add_service_port(state, location, &service_port, family, NULL,
					      selection);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* What DNS answers: it knows no ports, and a headless Service may have none. */
static int add_addresses(const struct service_state *state, const struct select_location *location,
			 enum ip_family family, struct selection *selection)
{
	struct selected_port *port = add_port(selection);

	if (!port)
		return -ENOMEM;
	port->addresses = true;
	port->protocol = PROTOCOL_TCP;
	port->family = family;
	return add_endpoints(state, location, selection);
}

static int add_headless(const struct service_state *state, const struct select_location *location,
			struct selection *selection)
{
	static const enum ip_family families[] = {IP_FAMILY_4, IP_FAMILY_6};
	const struct service *service = state->service;
	int rc = 0;

	/* One that was made up may have a VIP that nobody told us, so its name must not lead to
	 * bare pod addresses. */
	selection->headless = !service->made_up;
	for (unsigned f = 0; rc == 0 && f < 2; f++) {
		/* First, so that there is room for what names need. */
		if (!service->made_up)
			rc = add_addresses(state, location, families[f], selection);
		for (unsigned p = 0; rc == 0 && p < service->port_count; p++)
			rc = add_service_port(state, location, &service->ports[p], families[f],
					      NULL, selection);
		if (rc == 0 && service->port_count == 0 && service->made_up)
			rc = add_ports_of_slices(state, location, families[f], selection);
	}
	return rc;
}

static int add_proxied(const struct service_state *state, const struct select_location *location,
		       struct selection *selection)
{
	const struct service *service = state->service;
	int rc = 0;

	selection->affinity_timeout_s = service->affinity_timeout_s;
	selection->one_attempt = service->one_attempt;
	for (unsigned i = 0; rc == 0 && i < service->cluster_ip_count; i++) {
		const struct ip_address *vip = &service->cluster_ips[i];

		selection->vips[selection->vip_count++] = *vip;
		for (unsigned p = 0; rc == 0 && p < service->port_count; p++)
			rc = add_service_port(state, location, &service->ports[p],
					      ip_family_of(vip), vip, selection);
	}
	return rc;
}

int select_endpoints(const struct service_state *state, const struct select_location *location,
		     struct selection *ret_selection)
{
	const struct service *service = state->service;
	struct selection selection = {
		.room = room_of(state),
		.name_taken = service && !service->made_up,
	};
	int rc = 0;

	if (service && !is_left_alone(service))
		rc = service->headless ? add_headless(state, location, &selection)
				       : add_proxied(state, location, &selection);
	if (rc < 0) {
		selection_clear(&selection);
		return rc;
	}
	*ret_selection = selection;
	return 0;
}

void selection_clear(struct selection *selection)
{
	for (unsigned i = 0; i < selection->port_count; i++)
		free(selection->ports[i].endpoints);
	free(selection->ports);
	memset(selection, 0, sizeof(*selection));
}

const char *select_reason_word(enum select_reason reason)
{
	switch (reason) {
	case SELECT_READY:
		return "ready";
	case SELECT_READY_SAME_ZONE:
		return "ready-same-zone";
	case SELECT_READY_SAME_NODE:
		return "ready-same-node";
	case SELECT_READY_LOCAL:
		return "ready-local";
	case SELECT_SERVING_TERMINATING:
		return "serving-terminating";
	case SELECT_LOCAL_TERMINATING:
		return "local-serving-terminating";
	case SELECT_NOT_READY:
		return "not-ready";
	case SELECT_TERMINATING:
		return "terminating";
	case SELECT_OTHER_ZONE:
		return "other-zone";
	case SELECT_OTHER_NODE:
		return "other-node";
	case SELECT_NOT_LOCAL:
		return "not-local";
	}
	return "?";
}
