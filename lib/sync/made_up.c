// SPDX-License-Identifier: Apache-2.0
#include "sync/made_up.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void make_up_port(struct service *service, const struct service_ref *ref)
{
	struct service_port *port = &service->ports[service->port_count++];

	port->protocol = PROTOCOL_TCP;
	port->port = ref->vip_port ? ref->vip_port : ref->port;
	strcpy(port->name, ref->port_name);
}

static void make_up_vip(struct service *service, const struct ip_address *vip)
{
	for (unsigned i = 0; i < service->cluster_ip_count; i++) {
		if (ip_equal(&service->cluster_ips[i], vip))
			return;
	}
	if (service->cluster_ip_count < 2)
		service->cluster_ips[service->cluster_ip_count++] = *vip;
}

/* One Service of all the entries that name it, as "web:80@10.96.0.8 web:443@10.96.0.8". */
static struct service *make_up_service(const struct service_ref *refs, unsigned ref_count,
				       const struct service_ref *first)
{
	struct service *service = calloc(1, sizeof(*service));

	if (service)
		service->ports = calloc(ref_count, sizeof(service->ports[0]));
	if (!service || !service->ports) {
		free(service);
		return NULL;
	}
	strcpy(service->namespace, first->namespace);
	strcpy(service->name, first->name);
	service->made_up = true;
	for (unsigned i = 0; i < ref_count; i++) {
		const struct service_ref *ref = &refs[i];

		if (strcmp(ref->namespace, first->namespace) != 0 ||
		    strcmp(ref->name, first->name) != 0)
			continue;
		if (ref->has_vip)
			make_up_vip(service, &ref->vip);
		if (ref->port || ref->vip_port || ref->port_name[0])
			make_up_port(service, ref);
	}
	service->headless = service->cluster_ip_count == 0;
	return service;
}

int made_up_services(const struct service_ref *refs, unsigned ref_count, const char *namespace,
		     struct store *store, struct store_scope **ret_scope)
{
	struct store_scope *scope;
	struct reflector_sink sink;
	int rc = store_scope_open(store, NULL, NULL, &scope);

	if (rc < 0)
		return rc;
	sink = store_scope_sink(scope);
	for (unsigned i = 0; rc == 0 && i < ref_count; i++) {
		const struct service_ref *ref = &refs[i];
		struct object object = {.kind = OBJECT_SERVICE};

		if (strcmp(ref->name, "*") == 0 ||
		    (strcmp(namespace, "*") != 0 && strcmp(ref->namespace, namespace) != 0))
			continue;
		strcpy(object.namespace, ref->namespace);
		strcpy(object.name, ref->name);
		object.service = make_up_service(refs, ref_count, ref);
		rc = object.service ? sink.upsert(sink.ctx, &object) : -ENOMEM;
		object_clear(&object);
	}
	if (rc < 0) {
		store_scope_close(scope);
		return rc;
	}
	*ret_scope = scope;
	return 0;
}
