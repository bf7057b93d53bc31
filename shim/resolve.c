// SPDX-License-Identifier: Apache-2.0
#include "resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "activate.h"
#include "base/clock.h"
#include "base/hash.h"
#include "config/values.h"
#include "process.h"
#include "state.h"
#include "table/reader.h"

/* A reader that a writer overtakes three times in a row has been stopped in between; more tries
 * than this mean a damaged table. */
#define READ_TRIES 8

/* Every form that inet_aton(3) takes, "127.1" and "2130706433" included, is an address to libc. */
static bool is_numeric(const char *host)
{
	struct in_addr address;

	return strchr(host, ':') || inet_aton(host, &address);
}

/* Only "svc.ns.svc.domain" needs the domain, and only for it resolv.conf is read. */
static bool has_domain(const char *host)
{
	unsigned dots = 0;

	for (; *host; host++)
		dots += *host == '.' && host[1];
	return dots >= 3;
}

static bool match_name(const char *host, struct service_name *ret_name)
{
	/* RFC 6761 6.3: "localhost" is this host, whatever "*" in K8SLB_SERVICES covers. */
	if (!host || !*host || is_numeric(host) || strcasecmp(host, "localhost") == 0)
		return false;
	return service_name_match(&shim.config, has_domain(host) ? cluster_domain() : "", host,
				  ret_name);
}

static bool has_vip(const struct table_service *service)
{
	static const struct ip_address none;

	return !ip_equal(&service->vips[0], &none);
}

static void add_address(struct resolved *resolved, const struct ip_address *ip, uint16_t port)
{
	for (unsigned i = 0; i < resolved->count; i++) {
		if (ip_equal(&resolved->addresses[i].ip, ip) && resolved->addresses[i].port == port)
			return;
	}
	if (resolved->count < RESOLVE_ADDRESSES)
		resolved->addresses[resolved->count++] = (struct resolved_address){*ip, port};
}

static void add_vips(struct resolved *resolved, const struct table_service *service)
{
	static const struct ip_address none;

	for (unsigned i = 0; i < 2; i++) {
		if (!ip_equal(&service->vips[i], &none))
			add_address(resolved, &service->vips[i], 0);
	}
}

/* Where the answer begins: a turn of the same round that connect() takes its turns from. A read
 * that has to be repeated takes one turn more. */
static uint32_t next_turn(const struct table_port *port)
{
	struct pick_state state = process_pick_state(process_current());

	if (state.policy == PICK_RANDOM)
		return (uint32_t)random_u64();
	return take_ticket_u32(&state.cursors[port->cursor % PICK_CURSORS]) +
	       (uint32_t)hash_mix(state.seed ^ port->cursor);
}

/* The endpoints of a port, the next one first. */
static void add_endpoints(const struct table_read *read, const struct table_port *port,
			  bool with_port, struct resolved *resolved)
{
	unsigned count = port->endpoint_count;
	unsigned first = count ? next_turn(port) % count : 0;

	for (unsigned i = 0; i < count && i < RESOLVE_ADDRESSES; i++) {
		struct table_endpoint endpoint;

		if (table_port_endpoint(read, port, (first + i) % count, &endpoint) == 0)
			add_address(resolved, &endpoint.address, with_port ? endpoint.port : 0);
	}
}

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

/* The answer out of one snapshot; it may be torn until the snapshot was found valid. */
static enum resolve_result look_up(const struct table_read *read, const struct service_name *name,
				   const struct resolve_query *query, struct resolved *resolved)
{
	struct table_service service;
	struct table_port port;
	bool headless;

	resolved->count = 0;
	if (table_find_service(read, name->namespace, name->name, &service) < 0)
		return RESOLVE_LEAVE;
	if (has_vip(&service) && shim.config.resolve == RESOLVE_VIP) {
		add_vips(resolved, &service);
		return RESOLVE_FOUND;
	}
	headless = service.flags & TABLE_SERVICE_HEADLESS;
	for (unsigned i = 0; query->port && table_service_port(read, &service, i, &port) == 0; i++) {
		if (is_asked_port(read, &port, query->port))
			add_endpoints(read, &port, true, resolved);
	}
	if (resolved->count == 0 && has_vip(&service))
		add_vips(resolved, &service);
	else if (resolved->count == 0 && headless) {
		for (unsigned i = 0; table_service_port(read, &service, i, &port) == 0; i++)
			add_endpoints(read, &port, false, resolved);
	}
	/* Without an endpoint DNS has the last word: it may publish those that are not ready. */
	return resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_LEAVE;
}

static enum resolve_result keep_family(const struct resolve_query *query, struct resolved *resolved)
{
	enum ip_family wanted = query->family == AF_INET ? IP_FAMILY_4 : IP_FAMILY_6;
	unsigned kept = 0;

	if (query->family == AF_UNSPEC)
		return RESOLVE_FOUND;
	for (unsigned i = 0; i < resolved->count; i++) {
		if (ip_family_of(&resolved->addresses[i].ip) == wanted)
			resolved->addresses[kept++] = resolved->addresses[i];
	}
	/* None of them is IPv6, so all are IPv4. */
	if (kept > 0 || wanted == IP_FAMILY_4 || !query->v4_mapped)
		resolved->count = kept;
	return resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_NO_DATA;
}

static enum resolve_result resolve_in_table(const struct service_name *name,
					    const struct resolve_query *query,
					    struct resolved *resolved)
{
	const struct table_view *view = activate(UINT32_MAX);

	if (!view)
		return RESOLVE_LEAVE;
	for (int i = 0; i < READ_TRIES; i++) {
		struct table_read read;
		enum resolve_result result;
		int rc = table_read_begin(view, &read);

		if (rc == -EAGAIN)
			continue;
		if (rc < 0)
			return RESOLVE_LEAVE;
		result = look_up(&read, name, query, resolved);
		if (table_read_valid(&read))
			return result == RESOLVE_FOUND ? keep_family(query, resolved) : result;
	}
	return RESOLVE_LEAVE;
}

enum resolve_result resolve(const struct resolve_query *query, struct resolved *ret_resolved)
{
	int saved_errno = errno;
	struct service_name name;
	enum resolve_result result = RESOLVE_LEAVE;

	if (match_name(query->host, &name) && !k8slb_engine.is_own_thread())
		result = resolve_in_table(&name, query, ret_resolved);
	if (result == RESOLVE_FOUND)
		snprintf(ret_resolved->host, sizeof(ret_resolved->host), "%s.%s.svc.%s", name.name,
			 name.namespace, cluster_domain());
	errno = saved_errno;
	return result;
}
