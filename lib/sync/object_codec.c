// SPDX-License-Identifier: Apache-2.0
#include "sync/object_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum object_flag {
	OBJECT_TRUNCATED = 1 << 0,
};

enum service_flag {
	SERVICE_HEADLESS = 1 << 0,
	SERVICE_EXTERNAL_NAME = 1 << 1,
	SERVICE_OTHER_PROXY = 1 << 2,
	SERVICE_LOCAL = 1 << 3,
	SERVICE_FLAGS = (1 << 4) - 1,
};

enum slice_flag {
	SLICE_HEADLESS = 1 << 0,
	SLICE_FQDN = 1 << 1,
	SLICE_IPV6 = 1 << 2,
	SLICE_FLAGS = (1 << 3) - 1,
};

/* The first three are conditions, the others say what follows: most endpoints have little. */
enum endpoint_flag {
	ENDPOINT_READY = 1 << 0,
	ENDPOINT_SERVING = 1 << 1,
	ENDPOINT_TERMINATING = 1 << 2,
	ENDPOINT_NODE = 1 << 3,
	ENDPOINT_ZONE = 1 << 4,
	ENDPOINT_TARGET = 1 << 5,
	ENDPOINT_UID = 1 << 6,
	ENDPOINT_HOSTNAME = 1 << 7,
	ENDPOINT_ZONE_HINTS = 1 << 8,
	ENDPOINT_NODE_HINTS = 1 << 9,
	ENDPOINT_FLAGS = (1 << 10) - 1,
};

#define AFFINITY_MAX_S 86400 /* core/v1 types.go: MaxClientIPServiceAffinitySeconds */
/* Least bytes of each. */
#define PORT_BYTES     3
#define ENDPOINT_BYTES 5
#define SLICE_BYTES    6

/* ---- writing ---- */

/* Keeps the first error, so that only the end has to look. */
struct writer {
	struct buffer *bytes;
	int rc;
};

static void put_raw(struct writer *writer, const void *data, size_t size)
{
	if (writer->rc == 0)
		writer->rc = buffer_append(writer->bytes, data, size);
}

static void put_number(struct writer *writer, uint64_t number)
{
	if (writer->rc == 0)
		writer->rc = bytes_append_number(writer->bytes, number);
}

static void put_text(struct writer *writer, const char *text)
{
	if (writer->rc == 0)
		writer->rc = bytes_append_text(writer->bytes, text);
}

static void put_address(struct writer *writer, const struct ip_address *ip)
{
	bool v4 = ip_family_of(ip) == IP_FAMILY_4;

	put_raw(writer, v4 ? ip->bytes + 12 : ip->bytes, v4 ? 4 : 16);
}

static void put_port(struct writer *writer, const char *name, enum protocol protocol, uint16_t port)
{
	put_text(writer, name);
	put_number(writer, protocol);
	put_number(writer, port);
}

static void put_service(struct writer *writer, const struct service *service)
{
	put_number(writer, (service->headless ? SERVICE_HEADLESS : 0u) |
				   (service->external_name ? SERVICE_EXTERNAL_NAME : 0u) |
				   (service->other_proxy ? SERVICE_OTHER_PROXY : 0u) |
				   (service->internal_traffic_local ? SERVICE_LOCAL : 0u));
	put_number(writer, service->cluster_ip_count);
	for (unsigned i = 0; i < service->cluster_ip_count; i++) {
		put_number(writer, ip_family_of(&service->cluster_ips[i]));
		put_address(writer, &service->cluster_ips[i]);
	}
	put_number(writer, service->family_count);
	for (unsigned i = 0; i < service->family_count; i++)
		put_number(writer, service->families[i]);
	put_number(writer, service->affinity_timeout_s);
	put_number(writer, service->port_count);
	for (unsigned i = 0; i < service->port_count; i++)
		put_port(writer, service->ports[i].name, service->ports[i].protocol,
			 service->ports[i].port);
}

static unsigned endpoint_flags(const struct slice_endpoint *endpoint)
{
	return (endpoint->ready ? ENDPOINT_READY : 0u) |
	       (endpoint->serving ? ENDPOINT_SERVING : 0u) |
	       (endpoint->terminating ? ENDPOINT_TERMINATING : 0u) |
	       (endpoint->node_name[0] ? ENDPOINT_NODE : 0u) |
	       (endpoint->zone[0] ? ENDPOINT_ZONE : 0u) |
	       (endpoint->target_namespace[0] || endpoint->target_name[0] ? ENDPOINT_TARGET : 0u) |
	       (endpoint->target_uid_hash ? ENDPOINT_UID : 0u) |
	       (endpoint->hostname[0] ? ENDPOINT_HOSTNAME : 0u) |
	       (endpoint->zone_hint_count ? ENDPOINT_ZONE_HINTS : 0u) |
	       (endpoint->node_hint_count ? ENDPOINT_NODE_HINTS : 0u);
}

static void put_hints(struct writer *writer, const char *const *hints, unsigned count)
{
	put_number(writer, count);
	for (unsigned i = 0; i < count; i++)
		put_text(writer, hints[i]);
}

static void put_endpoint(struct writer *writer, const struct slice_endpoint *endpoint)
{
	unsigned flags = endpoint_flags(endpoint);

	put_number(writer, flags);
	put_address(writer, &endpoint->address);
	if (flags & ENDPOINT_NODE)
		put_text(writer, endpoint->node_name);
	if (flags & ENDPOINT_ZONE)
		put_text(writer, endpoint->zone);
	if (flags & ENDPOINT_TARGET) {
		put_text(writer, endpoint->target_namespace);
		put_text(writer, endpoint->target_name);
	}
	if (flags & ENDPOINT_UID)
		put_raw(writer, &endpoint->target_uid_hash, sizeof(endpoint->target_uid_hash));
	if (flags & ENDPOINT_HOSTNAME)
		put_text(writer, endpoint->hostname);
	if (flags & ENDPOINT_ZONE_HINTS)
		put_hints(writer, endpoint->zone_hints, endpoint->zone_hint_count);
	if (flags & ENDPOINT_NODE_HINTS)
		put_hints(writer, endpoint->node_hints, endpoint->node_hint_count);
}

static size_t text_bytes(const char *text)
{
	return text[0] ? strlen(text) + 1 : 0;
}

static size_t hint_bytes(const char *const *hints, unsigned count)
{
	size_t size = 0;

	for (unsigned i = 0; i < count; i++)
		size += text_bytes(hints[i]);
	return size;
}

/* What the reader has to allocate for texts and hints. */
static void put_sizes(struct writer *writer, const struct endpoint_slice *slice)
{
	size_t hints = 0;
	size_t texts = 0;

	for (unsigned i = 0; i < slice->endpoint_count; i++) {
		const struct slice_endpoint *endpoint = &slice->endpoints[i];

		hints += endpoint->zone_hint_count + endpoint->node_hint_count;
		texts += text_bytes(endpoint->node_name) + text_bytes(endpoint->zone) +
			 text_bytes(endpoint->target_namespace) +
			 text_bytes(endpoint->target_name) + text_bytes(endpoint->hostname) +
			 hint_bytes(endpoint->zone_hints, endpoint->zone_hint_count) +
			 hint_bytes(endpoint->node_hints, endpoint->node_hint_count);
	}
	put_number(writer, hints);
	put_number(writer, texts);
}

static void put_slice(struct writer *writer, const struct endpoint_slice *slice)
{
	put_text(writer, slice->service_name);
	put_number(writer, (slice->headless ? SLICE_HEADLESS : 0u) |
				   (slice->fqdn ? SLICE_FQDN : 0u) |
				   (slice->family == IP_FAMILY_6 ? SLICE_IPV6 : 0u));
	put_number(writer, slice->port_count);
	put_number(writer, slice->endpoint_count);
	put_sizes(writer, slice);
	for (unsigned i = 0; i < slice->port_count; i++)
		put_port(writer, slice->ports[i].name, slice->ports[i].protocol,
			 slice->ports[i].port);
	for (unsigned i = 0; i < slice->endpoint_count; i++)
		put_endpoint(writer, &slice->endpoints[i]);
}

int object_encode(const struct object *object, struct buffer *bytes)
{
	struct writer writer = {.bytes = bytes};

	put_text(&writer, object->namespace);
	put_text(&writer, object->name);
	put_text(&writer, object->resource_version);
	if (object->kind == OBJECT_SERVICE) {
		put_service(&writer, object->service);
		return writer.rc;
	}
	put_number(&writer, object->truncated ? OBJECT_TRUNCATED : 0u);
	put_number(&writer, object->slice_count);
	for (unsigned i = 0; i < object->slice_count; i++)
		put_slice(&writer, &object->slices[i]);
	return writer.rc;
}

/* ---- reading ---- */

static void get_name(struct bytes *bytes, bool (*valid)(const char *), char *name, size_t size)
{
	bytes_copy_text(bytes, name, size);
	if (!valid(name))
		bytes->bad = true;
}

/* A DNS label, or none. */
static void get_label(struct bytes *bytes, char label[DNS_LABEL_SIZE])
{
	bytes_copy_text(bytes, label, DNS_LABEL_SIZE);
	if (label[0] && !dns_label_valid(label))
		bytes->bad = true;
}

static void get_version(struct bytes *bytes, char version[RESOURCE_VERSION_SIZE])
{
	bytes_copy_text(bytes, version, RESOURCE_VERSION_SIZE);
	if (strchr(version, ' '))
		bytes->bad = true;
}

static enum ip_family get_family(struct bytes *bytes)
{
	uint64_t family = bytes_read_number(bytes, IP_FAMILY_6);

	if (family != IP_FAMILY_4 && family != IP_FAMILY_6)
		bytes->bad = true;
	return (enum ip_family)family;
}

static void get_address(struct bytes *bytes, enum ip_family family, struct ip_address *ip)
{
	uint8_t four_bytes[4];

	if (family == IP_FAMILY_4) {
		bytes_read(bytes, four_bytes, sizeof(four_bytes));
		*ip = ip_from_v4(four_bytes);
		return;
	}
	bytes_read(bytes, ip->bytes, sizeof(ip->bytes));
	if (ip_family_of(ip) != IP_FAMILY_6)
		bytes->bad = true;
}

static enum protocol get_protocol(struct bytes *bytes)
{
	uint64_t protocol = bytes_read_number(bytes, UINT8_MAX);

	if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP && protocol != PROTOCOL_SCTP)
		bytes->bad = true;
	return (enum protocol)protocol;
}

static void get_service_ports(struct bytes *bytes, struct service *service, int *rc)
{
	unsigned count = bytes_read_count(bytes, PORT_BYTES);

	if (count == 0)
		return;
	service->ports = calloc(count, sizeof(service->ports[0]));
	if (!service->ports) {
		*rc = -ENOMEM;
		return;
	}
	service->port_count = count;
	for (unsigned i = 0; i < count; i++) {
		struct service_port *port = &service->ports[i];

		get_label(bytes, port->name);
		port->protocol = get_protocol(bytes);
		port->port = (uint16_t)bytes_read_number(bytes, UINT16_MAX);
		if (port->port == 0)
			bytes->bad = true;
	}
}

static void get_service(struct bytes *bytes, struct object *object, int *rc)
{
	struct service *service = calloc(1, sizeof(*service));
	uint64_t flags;

	if (!service) {
		*rc = -ENOMEM;
		return;
	}
	object->service = service;
	memcpy(service->namespace, object->namespace, sizeof(service->namespace));
	memcpy(service->name, object->name, sizeof(service->name)); /* a DNS label */
	flags = bytes_read_number(bytes, SERVICE_FLAGS);
	service->headless = flags & SERVICE_HEADLESS;
	service->external_name = flags & SERVICE_EXTERNAL_NAME;
	service->other_proxy = flags & SERVICE_OTHER_PROXY;
	service->internal_traffic_local = flags & SERVICE_LOCAL;
	service->cluster_ip_count = (unsigned)bytes_read_number(bytes, 2);
	for (unsigned i = 0; i < service->cluster_ip_count; i++)
		get_address(bytes, get_family(bytes), &service->cluster_ips[i]);
	service->family_count = (unsigned)bytes_read_number(bytes, 2);
	for (unsigned i = 0; i < service->family_count; i++)
		service->families[i] = get_family(bytes);
	service->affinity_timeout_s = (uint32_t)bytes_read_number(bytes, AFFINITY_MAX_S);
	get_service_ports(bytes, service, rc);
}

/* The memory of a slice: endpoints, ports, hints, texts. Sized by what the bytes say, so each piece
 * is taken only while there is room. */
struct builder {
	struct bytes *bytes;
	const char **hints;
	size_t hints_left;
	char *texts;
	size_t texts_left;
};

static const char *build_text(struct builder *builder)
{
	size_t length;
	const char *from = bytes_read_text(builder->bytes, &length);
	char *text = builder->texts;

	if (length == 0)
		return "";
	if (length >= builder->texts_left) {
		builder->bytes->bad = true;
		return "";
	}
	memcpy(text, from, length);
	text[length] = '\0';
	builder->texts += length + 1;
	builder->texts_left -= length + 1;
	return text;
}

static const char *const *build_hints(struct builder *builder, unsigned *ret_count)
{
	unsigned count = bytes_read_count(builder->bytes, 1);
	const char **hints = builder->hints;

	if (count > builder->hints_left) {
		builder->bytes->bad = true;
		count = 0;
	}
	for (unsigned i = 0; i < count; i++)
		hints[i] = build_text(builder);
	builder->hints += count;
	builder->hints_left -= count;
	*ret_count = count;
	return hints;
}

static void build_endpoint(struct builder *builder, enum ip_family family,
			   struct slice_endpoint *endpoint)
{
	struct bytes *bytes = builder->bytes;
	uint64_t flags = bytes_read_number(bytes, ENDPOINT_FLAGS);

	*endpoint = (struct slice_endpoint){
		.ready = flags & ENDPOINT_READY,
		.serving = flags & ENDPOINT_SERVING,
		.terminating = flags & ENDPOINT_TERMINATING,
		.hostname = "",
		.node_name = "",
		.zone = "",
		.target_namespace = "",
		.target_name = "",
	};
	get_address(bytes, family, &endpoint->address);
	if (flags & ENDPOINT_NODE)
		endpoint->node_name = build_text(builder);
	if (flags & ENDPOINT_ZONE)
		endpoint->zone = build_text(builder);
	if (flags & ENDPOINT_TARGET) {
		endpoint->target_namespace = build_text(builder);
		endpoint->target_name = build_text(builder);
	}
	if (flags & ENDPOINT_UID)
		bytes_read(bytes, &endpoint->target_uid_hash, sizeof(endpoint->target_uid_hash));
	if (flags & ENDPOINT_HOSTNAME)
		endpoint->hostname = build_text(builder);
	if (flags & ENDPOINT_ZONE_HINTS)
		endpoint->zone_hints = build_hints(builder, &endpoint->zone_hint_count);
	if (flags & ENDPOINT_NODE_HINTS)
		endpoint->node_hints = build_hints(builder, &endpoint->node_hint_count);
}

static size_t aligned(size_t size)
{
	return (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

static void get_slice(struct bytes *bytes, struct endpoint_slice *slice, int *rc)
{
	struct builder builder = {.bytes = bytes};
	unsigned port_count, endpoint_count;
	size_t endpoints_size, ports_size, hints_size;
	uint64_t flags;
	char *memory;

	get_label(bytes, slice->service_name);
	flags = bytes_read_number(bytes, SLICE_FLAGS);
	slice->headless = flags & SLICE_HEADLESS;
	slice->fqdn = flags & SLICE_FQDN;
	slice->family = flags & SLICE_IPV6 ? IP_FAMILY_6 : IP_FAMILY_4;
	port_count = bytes_read_count(bytes, PORT_BYTES);
	endpoint_count = bytes_read_count(bytes, ENDPOINT_BYTES);
	builder.hints_left = bytes_read_count(bytes, 1);
	builder.texts_left = bytes_read_count(bytes, 1);
	if (bytes->bad)
		return;
	endpoints_size = aligned(endpoint_count * sizeof(slice->endpoints[0]));
	ports_size = aligned(port_count * sizeof(slice->ports[0]));
	hints_size = aligned(builder.hints_left * sizeof(builder.hints[0]));
	memory = malloc(endpoints_size + ports_size + hints_size + builder.texts_left + 1);
	if (!memory) {
		*rc = -ENOMEM;
		return;
	}
	slice->memory = memory;
	slice->endpoints = (struct slice_endpoint *)(void *)memory;
	slice->ports = (struct slice_port *)(void *)(memory + endpoints_size);
	builder.hints = (const char **)(void *)(memory + endpoints_size + ports_size);
	builder.texts = memory + endpoints_size + ports_size + hints_size;
	for (unsigned i = 0; i < port_count; i++) {
		struct slice_port *port = &slice->ports[i];

		memset(port, 0, sizeof(*port));
		get_label(bytes, port->name);
		port->protocol = get_protocol(bytes);
		port->port = (uint16_t)bytes_read_number(bytes, UINT16_MAX);
	}
	for (unsigned i = 0; !bytes->bad && i < endpoint_count; i++)
		build_endpoint(&builder, slice->family, &slice->endpoints[i]);
	slice->port_count = port_count;
	slice->endpoint_count = endpoint_count;
}

static void get_slices(struct bytes *bytes, struct object *object, int *rc)
{
	unsigned count;

	object->truncated = bytes_read_number(bytes, OBJECT_TRUNCATED) != 0;
	count = bytes_read_count(bytes, SLICE_BYTES);
	if (object->kind == OBJECT_ENDPOINT_SLICE && count != 1)
		bytes->bad = true;
	if (bytes->bad || count == 0)
		return;
	object->slices = calloc(count, sizeof(object->slices[0]));
	if (!object->slices) {
		*rc = -ENOMEM;
		return;
	}
	object->slice_count = count;
	for (unsigned i = 0; *rc == 0 && !bytes->bad && i < count; i++)
		get_slice(bytes, &object->slices[i], rc);
}

int object_decode(enum object_kind kind, struct bytes *bytes, struct object *ret_object)
{
	struct object object = {.kind = kind};
	int rc = 0;

	get_name(bytes, dns_label_valid, object.namespace, sizeof(object.namespace));
	get_name(bytes, kind == OBJECT_SERVICE ? dns_label_valid : object_name_valid, object.name,
		 sizeof(object.name));
	get_version(bytes, object.resource_version);
	if (!bytes->bad) {
		if (kind == OBJECT_SERVICE)
			get_service(bytes, &object, &rc);
		else
			get_slices(bytes, &object, &rc);
	}
	if (rc == 0 && bytes->bad)
		rc = -EBADMSG;
	if (rc < 0) {
		object_clear(&object);
		return rc;
	}
	*ret_object = object;
	return 0;
}
