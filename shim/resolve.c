// SPDX-License-Identifier: Apache-2.0
#include "resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "asked.h"
#include "base/keep_errno.h"
#include "config/values.h"
#include "hosts_file.h"
#include "libc.h"
#include "process.h"
#include "provider.h"
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

/* RFC 6761 6.3 for "localhost", whatever "*" in K8SLB_SERVICES covers; and a Pod that is called as
 * a Service finds itself by its name, which kubelet writes to /etc/hosts. */
static bool is_this_host(const char *host)
{
	struct utsname own;

	return strcasecmp(host, "localhost") == 0 ||
	       (uname(&own) == 0 && strcasecmp(host, own.nodename) == 0);
}

/* The first meaning of the name that @nth says: 0 a Service, 1 a pod. */
static bool match_name(const char *host, unsigned nth, struct asked_name *ret_asked)
{
	const char *domain;

	if (!host || !*host || is_numeric(host) || is_this_host(host))
		return false;
	domain = has_domain(host) ? cluster_domain() : "";
	return nth == 0 ? asked_service(&shim.config, domain, host, ret_asked)
			: asked_pod(&shim.config, domain, host, ret_asked);
}

static bool has_vip(const struct table_service *service)
{
	return !ip_is_unset(&service->vips[0]);
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
	for (unsigned i = 0; i < 2; i++) {
		if (!ip_is_unset(&service->vips[i]))
			add_address(resolved, &service->vips[i], 0);
	}
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

/* The endpoints of a port, the next one first. */
static void add_endpoints(const struct table_read *read, const struct asked_name *asked,
			  const struct table_service *service, const struct table_port *port,
			  bool with_port, struct resolved *resolved)
{
	struct pick_state state = process_pick_state(process_current());
	unsigned count = port->endpoint_count;
	/* As connect() chooses: a turn of the same round, or the endpoint of the client's affinity.
	 * A read that has to be repeated takes one turn more. */
	unsigned first = count ? pick_index(&state, read, key_of(asked, service, port), port) : 0;

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

/* The endpoints of a port that are called @pod: one as a rule. */
static void add_pod(const struct table_read *read, const struct table_port *port, const char *pod,
		    bool with_port, struct resolved *resolved)
{
	struct table_endpoint endpoint;

	for (unsigned i = 0; table_port_endpoint(read, port, i, &endpoint) == 0; i++) {
		char hostname[DNS_LABEL_SIZE];

		if (endpoint.hostname_at &&
		    table_text(read, endpoint.hostname_at, hostname, sizeof(hostname)) == 0 &&
		    strcmp(hostname, pod) == 0)
			add_address(resolved, &endpoint.address, with_port ? endpoint.port : 0);
	}
}

static bool is_covered(const struct table_read *read, const struct asked_name *asked,
		       const struct table_port *port)
{
	return provider_covers_port(read, asked->namespace, asked->name, port);
}

static enum resolve_result look_up_pod(const struct table_read *read,
				       const struct table_service *service,
				       const struct asked_name *asked,
				       const struct resolve_query *query, struct resolved *resolved)
{
	struct table_port port;

	if (!(service->flags & TABLE_SERVICE_HEADLESS))
		return RESOLVE_LEAVE;
	for (unsigned i = 0; query->port && table_service_port(read, service, i, &port) == 0; i++) {
		if (is_asked_port(read, &port, query->port) && is_covered(read, asked, &port))
			add_pod(read, &port, asked->pod, true, resolved);
	}
	if (resolved->count == 0) {
		for (unsigned i = 0; table_service_port(read, service, i, &port) == 0; i++) {
			if (is_covered(read, asked, &port))
				add_pod(read, &port, asked->pod, false, resolved);
		}
	}
	return resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_LEAVE;
}

/* The answer out of one snapshot; it may be torn until the snapshot was found valid. */
static enum resolve_result look_up(const struct table_read *read, const struct asked_name *asked,
				   const struct resolve_query *query, struct resolved *resolved)
{
	struct table_service service;
	struct table_port port;
	bool headless;

	resolved->count = 0;
	if (table_find_service(read, asked->namespace, asked->name, &service) < 0)
		return RESOLVE_LEAVE;
	if (asked->pod[0])
		return look_up_pod(read, &service, asked, query, resolved);
	if (has_vip(&service) && shim.config.resolve == RESOLVE_VIP) {
		add_vips(resolved, &service);
		return RESOLVE_FOUND;
	}
	headless = service.flags & TABLE_SERVICE_HEADLESS;
	for (unsigned i = 0; query->port && table_service_port(read, &service, i, &port) == 0;
	     i++) {
		if (is_asked_port(read, &port, query->port) && is_covered(read, asked, &port))
			add_endpoints(read, asked, &service, &port, true, resolved);
	}
	if (resolved->count == 0 && has_vip(&service))
		add_vips(resolved, &service);
	else if (resolved->count == 0 && headless) {
		for (unsigned i = 0; table_service_port(read, &service, i, &port) == 0; i++) {
			if (is_covered(read, asked, &port))
				add_endpoints(read, asked, &service, &port, false, resolved);
		}
	}
	/* Without an endpoint DNS has the last word: it may publish those that are not ready. */
	return resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_LEAVE;
}

/* This host has a route to the address and an address of its own for it: connect(2) of a datagram
 * socket asks the kernel for both and sends nothing. */
static bool is_reachable(const struct ip_address *ip)
{
	struct sockaddr_storage addr = {.ss_family = ip_family_of(ip) == IP_FAMILY_4 ? AF_INET
										     : AF_INET6};
	socklen_t size = addr.ss_family == AF_INET ? sizeof(struct sockaddr_in)
						   : sizeof(struct sockaddr_in6);
	int fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool reachable;

	if (fd < 0)
		return false;
	reachable = sockaddr_rewrite(&addr, ip, 9) == 0 &&
		    libc_connect(fd, (struct sockaddr *)&addr, size) == 0;
	close(fd);
	return reachable;
}

/*
 * Addresses of both families: those of a family that this host cannot reach go behind the others
 * (RFC 6724 rule 1), or out with AI_ADDRCONFIG. A program that tries only the first one would fail
 * otherwise.
 */
static void order_families(const struct resolve_query *query, struct resolved *resolved)
{
	struct resolved sorted = {.count = 0};
	bool reachable[2] = {false, false};
	bool asked[2] = {false, false};

	for (unsigned i = 0; i < resolved->count; i++) {
		bool six = ip_family_of(&resolved->addresses[i].ip) == IP_FAMILY_6;

		if (!asked[six])
			reachable[six] = is_reachable(&resolved->addresses[i].ip);
		asked[six] = true;
	}
	if (!asked[0] || !asked[1] || reachable[0] == reachable[1])
		return;
	for (int pass = 0; pass < (query->addr_config ? 1 : 2); pass++) {
		for (unsigned i = 0; i < resolved->count; i++) {
			bool six = ip_family_of(&resolved->addresses[i].ip) == IP_FAMILY_6;

			if (reachable[six] == (pass == 0))
				sorted.addresses[sorted.count++] = resolved->addresses[i];
		}
	}
	memcpy(resolved->addresses, sorted.addresses, sizeof(sorted.addresses));
	resolved->count = sorted.count;
}

static enum resolve_result keep_family(const struct resolve_query *query, struct resolved *resolved)
{
	enum ip_family wanted = query->family == AF_INET ? IP_FAMILY_4 : IP_FAMILY_6;
	unsigned kept = 0;

	if (query->family == AF_UNSPEC) {
		order_families(query, resolved);
		return RESOLVE_FOUND;
	}
	for (unsigned i = 0; i < resolved->count; i++) {
		if (ip_family_of(&resolved->addresses[i].ip) == wanted)
			resolved->addresses[kept++] = resolved->addresses[i];
	}
	/* None of them is IPv6, so all are IPv4. */
	if (kept > 0 || wanted == IP_FAMILY_4 || !query->v4_mapped)
		resolved->count = kept;
	return resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_NO_DATA;
}

static enum resolve_result resolve_in_table(const struct asked_name *asked,
					    const struct resolve_query *query,
					    struct resolved *resolved)
{
	const struct table_view *view = provider_await_for_lookup();

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
		result = look_up(&read, asked, query, resolved);
		if (table_read_valid(&read))
			return result == RESOLVE_FOUND ? keep_family(query, resolved) : result;
	}
	return RESOLVE_LEAVE;
}

enum resolve_result resolve(const struct resolve_query *query, struct resolved *ret_resolved)
{
	KEEP_ERRNO();
	enum resolve_result result = RESOLVE_LEAVE;
	struct asked_name asked;

	for (unsigned nth = 0; nth < 2 && result == RESOLVE_LEAVE; nth++) {
		if (match_name(query->host, nth, &asked) && !engine_is_own_thread() &&
		    !hosts_file_names(query->host))
			result = resolve_in_table(&asked, query, ret_resolved);
	}
	if (result == RESOLVE_FOUND)
		snprintf(ret_resolved->host, sizeof(ret_resolved->host), "%s%s%s.%s.svc.%s",
			 asked.pod, asked.pod[0] ? "." : "", asked.name, asked.namespace,
			 cluster_domain());
	return result;
}
