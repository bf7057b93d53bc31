// SPDX-License-Identifier: Apache-2.0
#include "asked.h"

#include <netinet/in.h>
#include <string.h>

#define READ_TRIES 8

/* ---- Addresses and ports ---- */

bool asked_could_match(const struct config *config, const struct ip_address *ip, uint16_t port)
{
	if (ip_never_cluster(ip))
		return false;
	for (unsigned i = 0; i < config->service_count; i++) {
		const struct service_ref *ref = &config->services[i];

		if (ref->has_vip) {
			if (ip_equal(&ref->vip, ip) &&
			    port == (ref->vip_port ? ref->vip_port : ref->port))
				return true;
		} else if (!ref->port || ref->port == port) {
			return true;
		}
	}
	return false;
}

/* An entry that asks for all there is spares the strings. */
static bool covers_all(const struct config *config)
{
	for (unsigned i = 0; i < config->service_count; i++) {
		const struct service_ref *ref = &config->services[i];

		if (dns_label_equal(ref->namespace, "*") && dns_label_equal(ref->name, "*") &&
		    !ref->port && !ref->port_name[0])
			return true;
	}
	return false;
}

bool asked_covers_port(const struct config *config, const struct table_read *read,
		       const char *namespace, const char *name, const struct table_port *port)
{
	char port_name[DNS_LABEL_SIZE];

	if (covers_all(config))
		return true;
	if (table_text(read, port->name_at, port_name, sizeof(port_name)) < 0)
		port_name[0] = '\0';
	return service_refs_cover_port(config->services, config->service_count, namespace, name,
				       port_name, port->port);
}

static bool covers_found(const struct config *config, const struct table_read *read,
			 const struct table_port *port)
{
	struct table_service service;
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];

	if (table_service_at(read, port->service, &service) < 0 ||
	    table_text(read, service.namespace_at, namespace, sizeof(namespace)) < 0 ||
	    table_text(read, service.name_at, name, sizeof(name)) < 0)
		return false;
	return asked_covers_port(config, read, namespace, name, port);
}

bool asked_covers_found(const struct config *config, const struct table_read *read,
			const struct table_port *port)
{
	return covers_all(config) || covers_found(config, read, port);
}

bool asked_covers_vip(const struct config *config, const struct table_view *view,
		      const struct ip_address *vip, uint16_t port)
{
	if (covers_all(config))
		return true;
	for (int i = 0; i < READ_TRIES; i++) {
		struct table_read read;
		struct table_port found;
		bool covered;

		if (table_read_begin(view, &read) < 0)
			continue;
		covered = table_find_vip(&read, vip, port, IPPROTO_TCP, &found) == 0 &&
			  covers_found(config, &read, &found);
		if (table_read_valid(&read))
			return covered;
	}
	return false;
}

/* ---- Names ---- */

/* Writes @length bytes; false when they are not a DNS label. */
static bool copy_label(char *label, const char *text, size_t length)
{
	if (length >= DNS_LABEL_SIZE)
		return false;
	memcpy(label, text, length);
	label[length] = '\0';
	return dns_label_valid(label);
}

/* @name ends in ".svc.@cluster_domain": how long it is without that, else 0. */
static size_t length_in_zone(const char *name, const char *cluster_domain)
{
	static const char svc[] = ".svc.";
	size_t length = strlen(name);
	size_t domain_length = strlen(cluster_domain);
	size_t zone_length = strlen(svc) + domain_length;

	if (length <= zone_length || strcmp(name + length - domain_length, cluster_domain) != 0 ||
	    strncmp(name + length - zone_length, svc, strlen(svc)) != 0)
		return 0;
	return length - zone_length;
}

enum asked_kind asked_kind_of(const char *name, const char *cluster_domain,
			      struct asked_name *ret_name)
{
	struct asked_name asked = {.pod = ""};
	/* As the labels stand: of a pod's name its first three, of a Service's two. */
	char *const labels[] = {asked.pod, asked.name, asked.namespace};
	size_t left = length_in_zone(name, cluster_domain);
	unsigned count = 1;
	unsigned first;

	if (left == 0)
		return ASKED_OTHER;
	for (size_t i = 0; i < left; i++)
		count += name[i] == '.';
	if (count == 1 || count > 3)
		return ASKED_NOTHING;
	first = 3 - count;
	for (unsigned i = first; i < 3; i++) {
		size_t length = strcspn(name, ".");

		if (!copy_label(labels[i], name, length))
			return ASKED_OTHER;
		name += length + 1;
	}
	*ret_name = asked;
	return count == 3 ? ASKED_POD : ASKED_SERVICE;
}

bool asked_covers(const struct config *config, const struct asked_name *name)
{
	return service_refs_cover(config->services, config->service_count, name->namespace,
				  name->name);
}
