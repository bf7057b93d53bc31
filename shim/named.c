// SPDX-License-Identifier: Apache-2.0
#include "named.h"

#include <netinet/in.h>
#include <string.h>

#include "config/values.h"
#include "process.h"
#include "provider.h"

static bool has_vip(const struct table_service *service)
{
	return !ip_is_unset(&service->vips[0]);
}

static bool is_headless(const struct table_service *service)
{
	return service->flags & TABLE_SERVICE_HEADLESS;
}

static bool is_covered(const struct table_read *read, const struct asked_name *asked,
		       const struct table_port *port)
{
	return provider_covers_port(read, asked->namespace, asked->name, port);
}

/* The Service's VIP of the port's family; all zero when it has none. */
static const struct ip_address *vip_of(const struct table_service *service,
				       const struct table_port *port)
{
	return ip_family_of(&service->vips[0]) == (enum ip_family)port->family ? &service->vips[0]
									       : &service->vips[1];
}

/* The key of the port's round: that of connect() where the Service has a VIP. */
static uint64_t key_of(const struct asked_name *asked, const struct table_service *service,
		       const struct table_port *port)
{
	const struct ip_address *vip = vip_of(service, port);

	if (ip_is_unset(vip))
		return cursor_key_of_name(asked->namespace, asked->name, port);
	return cursor_key_of_vip(vip, port->port, port->protocol);
}

/* The endpoints of a port, the next one first. False when there is no room for all. */
static bool add_endpoints(const struct table_read *read, const struct asked_name *asked,
			  const struct table_service *service, const struct table_port *port,
			  bool with_port, struct resolved *resolved)
{
	struct pick_state state;
	unsigned count = port->endpoint_count;
	unsigned first;

	if (count == 0)
		return true;
	if (count > RESOLVED_MOST || !resolved_reserve(resolved, resolved->count + count))
		return false;
	process_pick_state(process_current(), &state);
	/* As connect() chooses: a turn of the same round, or the endpoint of the client's affinity.
	 * A read that has to be repeated takes one turn more. */
	first = pick_index(&state, read, key_of(asked, service, port), port);
	for (unsigned i = 0; i < count; i++) {
		struct table_endpoint endpoint;

		/* The table has an address and port once. */
		if (table_port_endpoint(read, port, (first + i) % count, &endpoint) == 0)
			resolved_add_new(resolved, &endpoint.address,
					 with_port ? endpoint.port : 0);
	}
	return true;
}

/* ---- Headless ---- */

/* An agent's table has more than was asked for: one port of the Service that was will do, for a
 * headless Service's name stands for its pods and no port of them. */
static bool any_port_covered(const struct table_read *read, const struct table_service *service,
			     const struct asked_name *asked)
{
	struct table_port port;

	for (unsigned i = 0; table_service_port(read, service, i, &port) == 0; i++) {
		if (is_covered(read, asked, &port))
			return true;
	}
	return false;
}

static enum resolve_result look_up_headless(const struct table_read *read,
					    const struct table_service *service,
					    const struct asked_name *asked,
					    struct resolved *resolved)
{
	struct table_port port;

	for (unsigned i = 0; table_service_port(read, service, i, &port) == 0; i++) {
		if (port.port == 0 && !add_endpoints(read, asked, service, &port, false, resolved))
			return RESOLVE_LEAVE;
	}
	/* Without an endpoint DNS has the last word. */
	return resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_LEAVE;
}

/* The addresses that are called @pod: one of each family as a rule. */
static enum resolve_result look_up_pod(const struct table_read *read,
				       const struct table_service *service,
				       const struct asked_name *asked, struct resolved *resolved)
{
	struct table_endpoint endpoint;
	struct table_port port;

	for (unsigned p = 0; table_service_port(read, service, p, &port) == 0; p++) {
		for (unsigned e = 0;
		     port.port == 0 && table_port_endpoint(read, &port, e, &endpoint) == 0; e++) {
			char hostname[DNS_LABEL_SIZE];

			if (endpoint.hostname_at &&
			    table_text(read, endpoint.hostname_at, hostname, sizeof(hostname)) ==
				    0 &&
			    strcmp(hostname, asked->pod) == 0)
				resolved_add(resolved, &endpoint.address, 0);
		}
	}
	return resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_LEAVE;
}

/* ---- With a VIP, or made up ---- */

static bool is_asked_port(const struct table_read *read, const struct table_port *port,
			  const char *asked)
{
	char name[DNS_LABEL_SIZE];
	uint32_t number;

	if (port->protocol != IPPROTO_TCP)
		return false;
	if (value_number(asked, 1, UINT16_MAX, &number))
		return port->port == number;
	return table_text(read, port->name_at, name, sizeof(name)) == 0 && strcmp(name, asked) == 0;
}

static void add_vips(const struct table_service *service, struct resolved *resolved)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!ip_is_unset(&service->vips[i]))
			resolved_add_new(resolved, &service->vips[i], 0);
	}
}

static enum resolve_result look_up_proxied(const struct table_read *read,
					   const struct table_service *service,
					   const struct asked_name *asked,
					   const struct resolve_query *query,
					   struct resolved *resolved)
{
	bool by_endpoint = !has_vip(service) || shim.config.resolve == RESOLVE_ENDPOINT;
	struct table_port port;

	for (unsigned i = 0;
	     by_endpoint && query->port && table_service_port(read, service, i, &port) == 0; i++) {
		if (is_asked_port(read, &port, query->port) && is_covered(read, asked, &port) &&
		    !add_endpoints(read, asked, service, &port, true, resolved))
			return RESOLVE_LEAVE;
	}
	if (resolved->count == 0)
		add_vips(service, resolved);
	return resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_LEAVE;
}

/* ---- Both ---- */

/*
 * A namespace called "svc" counts as absent unless the table has a Service of it: else no search
 * list could ever get from "web.dev.svc" to Service web in dev, since the kubelet's second domain
 * makes pod web of Service dev in svc of it first.
 */
static bool is_held_whole(const struct table_read *read, const char *namespace)
{
	struct table_service unused;

	return shim.config.names == NAMES_ALWAYS || strcmp(namespace, "svc") == 0 ||
	       table_find_service(read, namespace, "*", &unused) == 0 ||
	       table_find_service(read, "*", "*", &unused) == 0;
}

enum resolve_result named_look_up(const struct table_read *read, const struct asked_name *asked,
				  const struct resolve_query *query, struct resolved *resolved)
{
	struct table_service service;

	resolved->count = 0;
	if (table_find_service(read, asked->namespace, asked->name, &service) < 0)
		return is_held_whole(read, asked->namespace) ? RESOLVE_NEXT : RESOLVE_LEAVE;
	if (asked->pod[0] && has_vip(&service))
		return RESOLVE_NEXT;
	if (!asked_covers(&shim.config, asked) || (asked->pod[0] && !is_headless(&service)))
		return RESOLVE_LEAVE;
	if (!is_headless(&service))
		return look_up_proxied(read, &service, asked, query, resolved);
	if (!any_port_covered(read, &service, asked))
		return RESOLVE_LEAVE;
	return asked->pod[0] ? look_up_pod(read, &service, asked, resolved)
			     : look_up_headless(read, &service, asked, resolved);
}
