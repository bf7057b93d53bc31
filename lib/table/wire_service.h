/* One Service in the form that the table has it, ready to be copied into a snapshot. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_WIRE_SERVICE_H
#define K8SLB_TABLE_WIRE_SERVICE_H

#include <stdbool.h>

#include "select/select.h"
#include "table/layout.h"

struct wire_port {
	char name[DNS_LABEL_SIZE];
	struct ip_address vip;	  /* all zero: none */
	struct table_port record; /* offsets are filled in at publish */
	uint32_t first_endpoint;  /* its place (arena.h), and for how many endpoints it is */
	uint32_t room;
	struct table_endpoint *endpoints; /* record.endpoint_count of them */
	char **hostnames; /* one for each endpoint, NULL without; NULL when none has one */
};

/* Where it lies in a snapshot (arena.h). */
struct wire_place {
	uint32_t service;
	uint32_t first_port;
	uint32_t text_at; /* of all its strings, one after the other */
};

struct wire_service {
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
	struct table_service record; /* offsets are filled in at publish */
	struct wire_place place;
	struct wire_port *ports; /* record.port_count of them */
};

/* default/kubernetes: the Service that the API server itself is reached through. */
bool wire_service_is_api_server(const char *namespace, const char *name);

/* Copies the used endpoints of @selection. Returns NULL when memory is short. Cursors are 0. */
struct wire_service *wire_service_new(const char *namespace, const char *name,
				      const struct selection *selection);

/* Gives each port of @service the cursor that the same port had in @old (NULL: none), else a new
 * number from @next_cursor. */
void wire_service_take_cursors(struct wire_service *service, const struct wire_service *old,
			       uint32_t *next_cursor);

/* Where a port of @service has no endpoint and the same port of @old had some, takes those. */
int wire_service_keep_endpoints(struct wire_service *service, const struct wire_service *old);

/* "" when the endpoint has none. */
const char *wire_port_hostname(const struct wire_port *port, unsigned index);

/* They would look the same in a snapshot. */
bool wire_service_equal(const struct wire_service *a, const struct wire_service *b);

/* They differ in endpoints alone: the same record, strings and VIPs, ports in the same order. */
bool wire_service_same_ports(const struct wire_service *a, const struct wire_service *b);

unsigned wire_service_endpoint_count(const struct wire_service *service);

/* Bytes of its strings, each with its NUL. */
size_t wire_service_text_size(const struct wire_service *service);

/* Takes NULL. */
void wire_service_free(struct wire_service *service);

#endif
