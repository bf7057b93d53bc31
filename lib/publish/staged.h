/* One Service in the form that the table has it, ready to be copied into a snapshot. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PUBLISH_STAGED_H
#define K8SLB_PUBLISH_STAGED_H

#include <stdbool.h>

#include "select/select.h"
#include "table/layout.h"

struct staged_port {
	char name[DNS_LABEL_SIZE];
	struct ip_address vip;	  /* all zero: none */
	struct table_port record; /* offsets are filled in at publish */
	uint32_t first_endpoint;  /* its place (arena.h), and for how many endpoints it is */
	uint32_t room;
	struct table_endpoint *endpoints; /* record.endpoint_count of them */
	char **hostnames; /* one for each endpoint, NULL without; NULL when none has one */
};

/* Where it lies in a snapshot (arena.h). */
struct staged_place {
	uint32_t service;
	uint32_t first_port;
	uint32_t text_at; /* of all its strings, one after the other */
};

struct staged_service {
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
	struct table_service record; /* offsets are filled in at publish */
	struct staged_place place;
	struct staged_port *ports; /* record.port_count of them */
};

/* default/kubernetes: the Service that the API server itself is reached through. */
bool staged_service_is_api_server(const char *namespace, const char *name);

/* Copies the used endpoints of @selection. Returns NULL when memory is short. */
struct staged_service *staged_service_new(const char *namespace, const char *name,
					  const struct selection *selection);

/* Where a port of @service has no endpoint and the same port of @old had some, takes those. */
int staged_service_keep_endpoints(struct staged_service *service, const struct staged_service *old);

/* "" when the endpoint has none. */
const char *staged_port_hostname(const struct staged_port *port, unsigned index);

/* They would look the same in a snapshot. */
bool staged_service_equal(const struct staged_service *a, const struct staged_service *b);

/* They differ in endpoints alone: the same record, strings and VIPs, ports in the same order. */
bool staged_service_same_ports(const struct staged_service *a, const struct staged_service *b);

unsigned staged_service_endpoint_count(const struct staged_service *service);

/* Bytes of its strings, each with its NUL. */
size_t staged_service_text_size(const struct staged_service *service);

/* Takes NULL. */
void staged_service_free(struct staged_service *service);

#endif
