// SPDX-License-Identifier: Apache-2.0
#include "publish/staged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool staged_service_is_api_server(const char *namespace, const char *name)
{
	return strcmp(namespace, "default") == 0 && strcmp(name, "kubernetes") == 0;
}

/* Only a headless Service's pods have names of their own (Kubernetes "DNS for Services and Pods").
 */
static int fill_hostnames(struct staged_port *staged, const struct selected_port *port)
{
	unsigned n = 0;

	for (unsigned i = 0; i < port->endpoint_count; i++) {
		const struct selected_endpoint *selected = &port->endpoints[i];

		if (!selected->used)
			continue;
		if (selected->endpoint->hostname[0]) {
			if (!staged->hostnames)
				staged->hostnames =
					calloc(port->used_count, sizeof(staged->hostnames[0]));
			if (!staged->hostnames)
				return -ENOMEM;
			staged->hostnames[n] = strdup(selected->endpoint->hostname);
			if (!staged->hostnames[n])
				return -ENOMEM;
		}
		n++;
	}
	return 0;
}

static uint32_t part_of(const struct selection *selection)
{
	return selection->part < TABLE_PARTS ? selection->part : TABLE_PARTS - 1;
}

static int fill_port(struct staged_port *staged, const struct selection *selection,
		     const struct selected_port *port)
{
	struct table_endpoint *endpoint;

	memcpy(staged->name, port->name, sizeof(staged->name));
	if (port->has_vip)
		staged->vip = port->vip;
	staged->record.port = port->port;
	staged->record.protocol = (uint8_t)port->protocol;
	staged->record.family = (uint8_t)port->family;
	staged->record.affinity_timeout_s = selection->affinity_timeout_s;
	staged->record.part = part_of(selection);
	staged->record.flags = selection->one_attempt ? TABLE_PORT_ONE_ATTEMPT : 0;
	/* A headless Service's name stands for addresses: nobody looks for those of one port. */
	if (port->used_count == 0 || (selection->headless && !port->addresses))
		return 0;
	staged->endpoints = calloc(port->used_count, sizeof(staged->endpoints[0]));
	if (!staged->endpoints)
		return -ENOMEM;
	staged->record.endpoint_count = port->used_count;
	endpoint = staged->endpoints;
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		const struct selected_endpoint *selected = &port->endpoints[i];

		if (!selected->used)
			continue;
		endpoint->address = selected->address;
		endpoint->port = selected->port;
		endpoint->uid_hash = selected->endpoint->target_uid_hash;
		endpoint++;
	}
	return selection->headless ? fill_hostnames(staged, port) : 0;
}

struct staged_service *staged_service_new(const char *namespace, const char *name,
					  const struct selection *selection)
{
	struct staged_service *service = calloc(1, sizeof(*service));

	if (!service)
		return NULL;
	service->ports = calloc(selection->port_count ? selection->port_count : 1,
				sizeof(service->ports[0]));
	if (!service->ports) {
		free(service);
		return NULL;
	}
	strcpy(service->namespace, namespace);
	strcpy(service->name, name);
	service->record.flags = selection->headless ? TABLE_SERVICE_HEADLESS : 0;
	service->record.part = part_of(selection);
	for (unsigned i = 0; i < selection->vip_count; i++)
		service->record.vips[i] = selection->vips[i];
	for (unsigned i = 0; i < selection->port_count; i++) {
		/* First: staged_service_free() then knows of a half-filled one. */
		service->record.port_count++;
		if (fill_port(&service->ports[i], selection, &selection->ports[i]) < 0) {
			staged_service_free(service);
			return NULL;
		}
	}
	return service;
}

/* The same (name, port, protocol, family), wherever it stands. */
static const struct staged_port *find_port(const struct staged_service *service,
					   const struct staged_port *wanted)
{
	for (unsigned i = 0; i < service->record.port_count; i++) {
		const struct staged_port *port = &service->ports[i];

		if (port->record.port == wanted->record.port &&
		    port->record.protocol == wanted->record.protocol &&
		    port->record.family == wanted->record.family &&
		    strcmp(port->name, wanted->name) == 0)
			return port;
	}
	return NULL;
}

int staged_service_keep_endpoints(struct staged_service *service, const struct staged_service *old)
{
	for (unsigned i = 0; i < service->record.port_count; i++) {
		struct staged_port *port = &service->ports[i];
		const struct staged_port *before = find_port(old, port);
		size_t size;

		if (port->record.endpoint_count || !before || !before->record.endpoint_count)
			continue;
		size = before->record.endpoint_count * sizeof(port->endpoints[0]);
		port->endpoints = malloc(size);
		if (!port->endpoints)
			return -ENOMEM;
		memcpy(port->endpoints, before->endpoints, size);
		port->record.endpoint_count = before->record.endpoint_count;
	}
	return 0;
}

const char *staged_port_hostname(const struct staged_port *port, unsigned index)
{
	return port->hostnames && port->hostnames[index] ? port->hostnames[index] : "";
}

static bool same_hostnames(const struct staged_port *a, const struct staged_port *b)
{
	if (!a->hostnames && !b->hostnames)
		return true;
	if (a->record.endpoint_count != b->record.endpoint_count)
		return false;
	for (unsigned i = 0; i < a->record.endpoint_count; i++) {
		if (strcmp(staged_port_hostname(a, i), staged_port_hostname(b, i)) != 0)
			return false;
	}
	return true;
}

bool staged_service_same_ports(const struct staged_service *a, const struct staged_service *b)
{
	if (memcmp(&a->record, &b->record, sizeof(a->record)) != 0)
		return false;
	for (unsigned i = 0; i < a->record.port_count; i++) {
		const struct staged_port *left = &a->ports[i];
		const struct staged_port *right = &b->ports[i];

		if (strcmp(left->name, right->name) != 0 || !ip_equal(&left->vip, &right->vip) ||
		    left->record.port != right->record.port ||
		    left->record.protocol != right->record.protocol || !same_hostnames(left, right))
			return false;
	}
	return true;
}

bool staged_service_equal(const struct staged_service *a, const struct staged_service *b)
{
	if (!staged_service_same_ports(a, b))
		return false;
	for (unsigned i = 0; i < a->record.port_count; i++) {
		const struct staged_port *left = &a->ports[i];
		const struct staged_port *right = &b->ports[i];

		if (memcmp(&left->record, &right->record, sizeof(left->record)) != 0)
			return false;
		if (left->record.endpoint_count &&
		    memcmp(left->endpoints, right->endpoints,
			   left->record.endpoint_count * sizeof(left->endpoints[0])) != 0)
			return false;
	}
	return true;
}

unsigned staged_service_endpoint_count(const struct staged_service *service)
{
	unsigned count = 0;

	for (unsigned i = 0; i < service->record.port_count; i++)
		count += service->ports[i].record.endpoint_count;
	return count;
}

size_t staged_service_text_size(const struct staged_service *service)
{
	size_t size = strlen(service->namespace) + strlen(service->name) + 2;

	for (unsigned i = 0; i < service->record.port_count; i++) {
		const struct staged_port *port = &service->ports[i];

		size += strlen(port->name) + 1;
		for (unsigned e = 0; port->hostnames && e < port->record.endpoint_count; e++) {
			if (port->hostnames[e])
				size += strlen(port->hostnames[e]) + 1;
		}
	}
	return size;
}

void staged_service_free(struct staged_service *service)
{
	if (!service)
		return;
	for (unsigned i = 0; i < service->record.port_count; i++) {
		struct staged_port *port = &service->ports[i];

		for (unsigned e = 0; port->hostnames && e < port->record.endpoint_count; e++)
			free(port->hostnames[e]);
		free(port->hostnames);
		free(port->endpoints);
	}
	free(service->ports);
	free(service);
}
