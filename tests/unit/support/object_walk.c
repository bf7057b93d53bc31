// SPDX-License-Identifier: Apache-2.0
#include "support/object_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text->at, text->left, format, args);
	va_end(args);
	assert_in_range(length, 0, text->left - 1);
	text->at += length;
	text->left -= (size_t)length;
}

static void say_service(struct text *text, const struct service *service)
{
	say(text, "headless %d external %d other-proxy %d local %d affinity %u\n",
	    service->headless, service->external_name, service->other_proxy,
	    service->internal_traffic_local, service->affinity_timeout_s);
	for (unsigned i = 0; i < service->cluster_ip_count; i++) {
		char ip[IP_TEXT_SIZE];

		ip_format(&service->cluster_ips[i], ip, sizeof(ip));
		say(text, "vip %s\n", ip);
	}
	for (unsigned i = 0; i < service->family_count; i++)
		say(text, "family %d\n", service->families[i]);
	for (unsigned i = 0; i < service->port_count; i++)
		say(text, "port %s %s %u\n", service->ports[i].name,
		    protocol_name(service->ports[i].protocol), service->ports[i].port);
}

static void say_endpoint(struct text *text, const struct slice_endpoint *endpoint)
{
	char ip[IP_TEXT_SIZE];

	ip_format(&endpoint->address, ip, sizeof(ip));
	say(text, "%s ready %d serving %d terminating %d [%s] [%s] [%s] [%s/%s] %llx", ip,
	    endpoint->ready, endpoint->serving, endpoint->terminating, endpoint->hostname,
	    endpoint->node_name, endpoint->zone, endpoint->target_namespace, endpoint->target_name,
	    (unsigned long long)endpoint->target_uid_hash);
	for (unsigned i = 0; i < endpoint->zone_hint_count; i++)
		say(text, " zone-hint [%s]", endpoint->zone_hints[i]);
	for (unsigned i = 0; i < endpoint->node_hint_count; i++)
		say(text, " node-hint [%s]", endpoint->node_hints[i]);
	say(text, "\n");
}

void object_describe(const struct object *object, char *text, size_t size)
{
	struct text out = {text, size};

	object_walk(object);
	say(&out, "%s %s/%s truncated %d\n", object_kind_name(object->kind), object->namespace,
	    object->name, object->truncated);
	if (object->service)
		say_service(&out, object->service);
	for (unsigned i = 0; i < object->slice_count; i++) {
		const struct endpoint_slice *slice = &object->slices[i];

		say(&out, "slice of [%s] family %d headless %d fqdn %d\n", slice->service_name,
		    slice->family, slice->headless, slice->fqdn);
		for (unsigned p = 0; p < slice->port_count; p++)
			say(&out, "port %s %s %u\n", slice->ports[p].name,
			    protocol_name(slice->ports[p].protocol), slice->ports[p].port);
		for (unsigned e = 0; e < slice->endpoint_count; e++)
			say_endpoint(&out, &slice->endpoints[e]);
	}
}
