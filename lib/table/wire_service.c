// SPDX-License-Identifier: Apache-2.0
#include "table/wire_service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint8_t no_endpoint_answer(const char *namespace, const char *name,
				  const struct selected_port *port)
{
	if (strcmp(namespace, "default") == 0 && strcmp(name, "kubernetes") == 0)
		return TABLE_LEAVE;
	return port->usable_elsewhere ? TABLE_NO_LOCAL : TABLE_REFUSE;
}

static int fill_port(struct wire_port *wire, const char *namespace, const char *name,
		     const struct selected_port *port)
{
	struct table_endpoint *endpoint;

	memcpy(wire->name, port->name, sizeof(wire->name));
	if (port->has_vip)
		wire->vip = port->vip;
	wire->record.port = port->port;
	wire->record.protocol = (uint8_t)port->protocol;
	wire->record.family = (uint8_t)port->family;
	wire->record.no_endpoint = no_endpoint_answer(namespace, name, port);
	wire->record.endpoint_count = port->used_count;
	if (port->used_count == 0)
		return 0;
	wire->endpoints = calloc(port->used_count, sizeof(wire->endpoints[0]));
	if (!wire->endpoints)
		return -ENOMEM;
	endpoint = wire->endpoints;
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		const struct selected_endpoint *selected = &port->endpoints[i];

		if (!selected->used)
			continue;
		endpoint->address = selected->address;
		endpoint->port = selected->port;
		endpoint->uid_hash = selected->endpoint->target_uid_hash;
		endpoint++;
	}
	return 0;
}

struct wire_service *wire_service_new(const char *namespace, const char *name,
				      const struct selection *selection)
{
	struct wire_service *service = calloc(1, sizeof(*service));

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
	service->record.affinity_timeout_s = selection->affinity_timeout_s;
	for (unsigned i = 0; i < selection->vip_count; i++)
		service->record.vips[i] = selection->vips[i];
	for (unsigned i = 0; i < selection->port_count; i++) {
		if (fill_port(&service->ports[i], namespace, name, &selection->ports[i]) < 0) {
			wire_service_free(service);
			return NULL;
		}
		service->record.port_count++;
	}
	return service;
}

/* The same (name, port, protocol, family), wherever it stands. */
static const struct wire_port *find_port(const struct wire_service *service,
					 const struct wire_port *wanted)
{
	if (!service)
		return NULL;
	for (unsigned i = 0; i < service->record.port_count; i++) {
		const struct wire_port *port = &service->ports[i];

		if (port->record.port == wanted->record.port &&
		    port->record.protocol == wanted->record.protocol &&
		    port->record.family == wanted->record.family &&
		    strcmp(port->name, wanted->name) == 0)
			return port;
	}
	return NULL;
}

void wire_service_take_cursors(struct wire_service *service, const struct wire_service *old,
			       uint32_t *next_cursor)
{
	for (unsigned i = 0; i < service->record.port_count; i++) {
		const struct wire_port *before = find_port(old, &service->ports[i]);

		service->ports[i].record.cursor = before ? before->record.cursor
							 : (*next_cursor)++;
	}
}

int wire_service_keep_endpoints(struct wire_service *service, const struct wire_service *old)
{
	for (unsigned i = 0; i < service->record.port_count; i++) {
		struct wire_port *port = &service->ports[i];
		const struct wire_port *before = find_port(old, port);
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

bool wire_service_equal(const struct wire_service *a, const struct wire_service *b)
{
	if (memcmp(&a->record, &b->record, sizeof(a->record)) != 0)
		return false;
	for (unsigned i = 0; i < a->record.port_count; i++) {
		const struct wire_port *left = &a->ports[i];
		const struct wire_port *right = &b->ports[i];

		if (strcmp(left->name, right->name) != 0 || !ip_equal(&left->vip, &right->vip) ||
		    memcmp(&left->record, &right->record, sizeof(left->record)) != 0)
			return false;
		if (left->record.endpoint_count &&
		    memcmp(left->endpoints, right->endpoints,
			   left->record.endpoint_count * sizeof(left->endpoints[0])) != 0)
			return false;
	}
	return true;
}

unsigned wire_service_endpoint_count(const struct wire_service *service)
{
	unsigned count = 0;

	for (unsigned i = 0; i < service->record.port_count; i++)
		count += service->ports[i].record.endpoint_count;
	return count;
}

size_t wire_service_text_size(const struct wire_service *service)
{
	size_t size = strlen(service->namespace) + strlen(service->name) + 2;

	for (unsigned i = 0; i < service->record.port_count; i++)
		size += strlen(service->ports[i].name) + 1;
	return size;
}

void wire_service_free(struct wire_service *service)
{
	if (!service)
		return;
	for (unsigned i = 0; i < service->record.port_count; i++)
		free(service->ports[i].endpoints);
	free(service->ports);
	free(service);
}
