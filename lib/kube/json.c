// SPDX-License-Identifier: Apache-2.0
/*
 * Why so long: nothing else may include cJSON.h, so what a field means to the
 * stages behind is decided here and nowhere else. Order: errors, typed access, metadata and
 * Status, ports, the memory of a slice, EndpointSlice, Endpoints, Service, entry points.
 */
#include "kube/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "kube/json_stream.h"

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_HEADLESS	   "service.kubernetes.io/headless"
/* endpoints_controller.go, maxCapacity: the controller cuts at 1 000 addresses and says so. */
#define ANNOTATION_OVER_CAPACITY "endpoints.kubernetes.io/over-capacity"
#define LABEL_PROXY_NAME	 "service.kubernetes.io/service-proxy-name"

/* core/v1 types.go: DefaultClientIPServiceAffinitySeconds and its range. */
#define AFFINITY_DEFAULT_S 10800
#define AFFINITY_MAX_S	   86400
/* A Retry-After of more than a day is no advice. */
#define RETRY_AFTER_MAX_S 86400
/* How much of a name or text goes into a message. */
#define QUOTE_SIZE 41

/*
 * One call of a public function. The first error stays and the reading goes on with defaults, so
 * that only the end has to look at @rc.
 */
struct decoder {
	enum object_kind kind;
	char where[OBJECT_NAME_SIZE + DNS_LABEL_SIZE + 24]; /* "Service demo/web: " once known */
	unsigned skipped;
	int rc;
	char *error;
	size_t error_size;
};

/* ---- Errors ---- */

static void bad(struct decoder *decoder, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void bad(struct decoder *decoder, const char *format, ...)
{
	va_list args;
	int length;

	if (decoder->rc < 0)
		return;
	decoder->rc = -EBADMSG;
	length = snprintf(decoder->error, decoder->error_size, "%s", decoder->where);
	if (length < 0 || (size_t)length >= decoder->error_size)
		return;
	va_start(args, format);
	vsnprintf(decoder->error + length, decoder->error_size - (size_t)length, format, args);
	va_end(args);
}

static void no_memory(struct decoder *decoder)
{
	if (decoder->rc < 0)
		return;
	decoder->rc = -ENOMEM;
	snprintf(decoder->error, decoder->error_size, "out of memory");
}

/* ---- Typed access ---- */

struct parse {
	struct decoder *decoder;
	cJSON *root;
};

/* The first escape for NUL in a string, or NULL. */
static const char *find_escaped_nul(const char *text, size_t size)
{
	static const char escape[] = "\\u0000";
	const char *from = text;
	const char *found;

	while ((found = memmem(from, size - (size_t)(from - text), escape, sizeof(escape) - 1))) {
		const char *backslash = found;

		/* An even number before it: backslashes that escape each other. */
		while (backslash > text && backslash[-1] == '\\')
			backslash--;
		if ((found - backslash) % 2 == 0)
			return found;
		from = found + 1;
	}
	return NULL;
}

/*
 * cJSON would end the string at an escaped NUL: "10.0.0.1\u0000.example" as a good address. With
 * \u0001 in its place the string stays whole, and no name or address has that.
 */
static char *without_escaped_nul(const char *text, size_t size)
{
	char *copy = malloc(size + 1);
	const char *found = text;

	if (!copy)
		return NULL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	while ((found = find_escaped_nul(copy, size)))
		copy[found - copy + 5] = '1';
	return copy;
}

static int parse_object(void *ctx, const char *text, size_t size)
{
	struct parse *parse = ctx;
	const char *end = NULL;
	char quote[QUOTE_SIZE];

	if (find_escaped_nul(text, size)) {
		char *copy = without_escaped_nul(text, size);
		int rc;

		if (!copy) {
			no_memory(parse->decoder);
			return -ENOMEM;
		}
		rc = parse_object(ctx, copy, size);
		free(copy);
		return rc;
	}
	/* cJSON does not say why it failed; malloc does. */
	errno = 0;
	parse->root = cJSON_ParseWithLengthOpts(text, size, &end, 0);
	if (parse->root && end == text + size)
		return 0;
	if (!parse->root && errno == ENOMEM) {
		no_memory(parse->decoder);
		return -ENOMEM;
	}
	if (!end || end < text || end > text + size)
		end = text;
	json_printable(quote, sizeof(quote), end, size - (size_t)(end - text));
	bad(parse->decoder, "not valid JSON at \"%s\"", quote);
	return -EBADMSG;
}

/*
 * The tree, the caller's to cJSON_Delete(), or NULL with the decoder's error set. The stream
 * bounds size and depth and refuses what is cut off before cJSON sees it: cJSON's recursion needs
 * a stack in proportion, and before 1.7.18 it read one byte beyond a cut text.
 */
static cJSON *parse_text(struct decoder *decoder, const char *text, size_t size)
{
	struct parse parse = {.decoder = decoder};
	struct json_stream stream;
	int rc;

	json_stream_init(&stream, JSON_STREAM_OBJECT, parse_object, &parse);
	rc = json_stream_feed(&stream, text, size, decoder->error, decoder->error_size);
	if (rc == 0)
		rc = json_stream_finish(&stream, NULL, NULL, decoder->error, decoder->error_size);
	json_stream_free(&stream);
	if (rc == 0)
		return parse.root;
	decoder->rc = rc == -ENOMEM ? -ENOMEM : -EBADMSG;
	cJSON_Delete(parse.root);
	return NULL;
}

/* The member; NULL when it is absent or null, or @object is. */
static const cJSON *member(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNull(item) ? NULL : item;
}

/*
 * The following take the field as messages show it, "endpoints[].conditions.ready", of which
 * @object holds the last part. A member that is absent or null gives NULL or the default; one of
 * another type does too, and is an error.
 */
static const cJSON *get(struct decoder *decoder, const cJSON *object, const char *field,
			cJSON_bool (*is_type)(const cJSON *), const char *type)
{
	const char *dot = strrchr(field, '.');
	const cJSON *item = member(object, dot ? dot + 1 : field);

	if (!item || is_type(item))
		return item;
	bad(decoder, "%s is not %s", field, type);
	return NULL;
}

static const cJSON *get_object(struct decoder *decoder, const cJSON *object, const char *field)
{
	return get(decoder, object, field, cJSON_IsObject, "an object");
}

static const cJSON *get_array(struct decoder *decoder, const cJSON *object, const char *field)
{
	return get(decoder, object, field, cJSON_IsArray, "an array");
}

/* Never NULL; lives as long as the tree. */
static const char *get_text(struct decoder *decoder, const cJSON *object, const char *field)
{
	const cJSON *item = get(decoder, object, field, cJSON_IsString, "a string");

	return item ? item->valuestring : "";
}

static bool get_bool(struct decoder *decoder, const cJSON *object, const char *field,
		     bool by_default)
{
	const cJSON *item = get(decoder, object, field, cJSON_IsBool, "true or false");

	return item ? cJSON_IsTrue(item) : by_default;
}

/* For the elements of an array. */
static bool check_object(struct decoder *decoder, const cJSON *item, const char *field)
{
	if (cJSON_IsObject(item))
		return true;
	bad(decoder, "%s is not an object", field);
	return false;
}

/* Whether @item is a whole number of the range; else @ret_value is left alone. */
static bool is_integer(const cJSON *item, long min, long max, long *ret_value)
{
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= (double)min) ||
	    !(item->valuedouble <= (double)max) || item->valuedouble != (long)item->valuedouble)
		return false;
	*ret_value = (long)item->valuedouble;
	return true;
}

/* ---- Metadata and Status ---- */

/* Copies a name that @valid bounds to less than @size bytes. */
static void get_name(struct decoder *decoder, const cJSON *metadata, const char *field,
		     bool (*valid)(const char *), char *copy, size_t size)
{
	const char *text = get_text(decoder, metadata, field);
	char quote[QUOTE_SIZE];

	if (valid(text)) {
		snprintf(copy, size, "%s", text);
		return;
	}
	json_printable(quote, sizeof(quote), text, strlen(text));
	bad(decoder, "%s \"%s\" is not a legal name", field, quote);
}

/* Opaque, but it goes into a URL and into messages. "" when it is absent. */
static void get_resource_version(struct decoder *decoder, const cJSON *metadata,
				 char copy[RESOURCE_VERSION_SIZE])
{
	const char *text = get_text(decoder, metadata, "metadata.resourceVersion");
	size_t length = strlen(text);

	if (length >= RESOURCE_VERSION_SIZE) {
		bad(decoder, "metadata.resourceVersion is too long");
		return;
	}
	for (size_t i = 0; i < length; i++) {
		if (text[i] < 0x21 || text[i] > 0x7e)
			bad(decoder, "metadata.resourceVersion has an illegal character");
	}
	memcpy(copy, text, length + 1);
}

/* For those to watch on from. */
static void need_resource_version(struct decoder *decoder, const char *version)
{
	if (!*version)
		bad(decoder, "metadata.resourceVersion is missing");
}

static void check_kind(struct decoder *decoder, const cJSON *root, const char *suffix)
{
	const char *wanted = object_kind_name(decoder->kind);
	const char *text = get_text(decoder, root, "kind");
	size_t length = strlen(wanted);
	char quote[QUOTE_SIZE];

	if (!*text || (strncmp(text, wanted, length) == 0 && strcmp(text + length, suffix) == 0))
		return;
	json_printable(quote, sizeof(quote), text, strlen(text));
	bad(decoder, "kind is \"%s\", expected %s%s", quote, wanted, suffix);
}

/* Fills the names and the version; returns metadata. */
static const cJSON *read_metadata(struct decoder *decoder, const cJSON *root, struct object *object)
{
	const cJSON *metadata = get_object(decoder, root, "metadata");

	check_kind(decoder, root, "");
	get_name(decoder, metadata, "metadata.namespace", dns_label_valid, object->namespace,
		 sizeof(object->namespace));
	get_name(decoder, metadata, "metadata.name",
		 decoder->kind == OBJECT_SERVICE ? dns_label_valid : object_name_valid,
		 object->name, sizeof(object->name));
	snprintf(decoder->where, sizeof(decoder->where),
		 "%s %s/%s: ", object_kind_name(decoder->kind), object->namespace, object->name);
	get_resource_version(decoder, metadata, object->resource_version);
	return metadata;
}

static void read_status(struct decoder *decoder, const cJSON *root, struct kube_status *status)
{
	const char *reason = get_text(decoder, root, "reason");
	const char *message = get_text(decoder, root, "message");
	const cJSON *details = get_object(decoder, root, "details");
	const cJSON *causes = get_array(decoder, details, "details.causes");
	const cJSON *cause;
	long code = 0;

	if (strcmp(get_text(decoder, root, "kind"), "Status") != 0)
		bad(decoder, "kind is not Status");
	is_integer(member(root, "code"), 0, 999, &code);
	status->code = (int)code;
	status->retry_after_s = -1;
	is_integer(member(details, "retryAfterSeconds"), 0, RETRY_AFTER_MAX_S,
		   &status->retry_after_s);
	cJSON_ArrayForEach (cause, causes) {
		const char *text = get_text(decoder, cause, "details.causes[].reason");

		if (strcmp(text, "ResourceVersionTooLarge") == 0)
			status->resource_version_too_large = true;
	}
	json_printable(status->reason, sizeof(status->reason), reason, strlen(reason));
	json_printable(status->message, sizeof(status->message), message, strlen(message));
}

/* ---- Ports ---- */

/* 0 for a protocol that is not known. */
static int protocol_number(const char *text)
{
	static const enum protocol all[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP};

	if (!*text)
		return PROTOCOL_TCP;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(text, protocol_name(all[i])) == 0)
			return (int)all[i];
	}
	return 0;
}

/* {"name","protocol","port"}, of which only the type of the first two is an error. False when the
 * port is to be skipped. Without a number @ret_port->port is 0. */
static bool read_port(struct decoder *decoder, const cJSON *item, struct slice_port *ret_port)
{
	const cJSON *number_item = member(item, "port");
	const char *name = get_text(decoder, item, "ports[].name");
	int protocol = protocol_number(get_text(decoder, item, "ports[].protocol"));
	long number = 0;

	if (!check_object(decoder, item, "ports[]") || !protocol ||
	    (*name && !dns_label_valid(name)) ||
	    (number_item && !is_integer(number_item, 1, 65535, &number)))
		return false;
	memset(ret_port, 0, sizeof(*ret_port));
	snprintf(ret_port->name, sizeof(ret_port->name), "%s", name);
	ret_port->protocol = (enum protocol)protocol;
	ret_port->port = (uint16_t)number;
	return true;
}

/* ---- The memory of a slice ---- */

/*
 * A slice lies in one block: endpoints, ports, then strings and arrays of hints as they come. The
 * same function walks its JSON twice: without memory, to measure, and with it, to fill.
 */
struct builder {
	struct decoder *decoder;
	char *memory; /* NULL while measuring */
	struct slice_endpoint *endpoints;
	struct slice_port *ports;
	char *rest;
	size_t rest_used;
	unsigned endpoint_count;
	unsigned port_count;
	/* What one walk reads. */
	enum ip_family family;
	const cJSON *endpoint_list;
	const cJSON *not_ready_list; /* of an Endpoints subset */
	const cJSON *port_list;
};

static size_t aligned(size_t size)
{
	return (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

static const char *store_text(struct builder *builder, const char *text)
{
	size_t length = strlen(text);
	size_t start = builder->rest_used;

	if (!length)
		return "";
	builder->rest_used += length + 1;
	if (!builder->memory)
		return "";
	json_printable(builder->rest + start, length + 1, text, length);
	return builder->rest + start;
}

/* NULL while measuring. */
static const char **store_array(struct builder *builder, unsigned count)
{
	size_t start = aligned(builder->rest_used);

	builder->rest_used = start + count * sizeof(const char *);
	return builder->memory ? (const char **)(void *)(builder->rest + start) : NULL;
}

static void store_endpoint(struct builder *builder, const struct slice_endpoint *endpoint)
{
	if (builder->memory)
		builder->endpoints[builder->endpoint_count] = *endpoint;
	builder->endpoint_count++;
}

/* Counts what costs only itself, in one of the walks. */
static void skip(struct builder *builder)
{
	if (!builder->memory)
		builder->decoder->skipped++;
}

static void walk_ports(struct builder *builder)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, builder->port_list) {
		struct slice_port port;

		/* The API server writes "" for no name; kube-proxy ignores a port without one. */
		if (!read_port(builder->decoder, item, &port) ||
		    (builder->decoder->kind == OBJECT_ENDPOINT_SLICE && !member(item, "name"))) {
			skip(builder);
			continue;
		}
		if (builder->memory)
			builder->ports[builder->port_count] = port;
		builder->port_count++;
	}
}

/* Fills @slice, whose memory object_clear() frees, also after an error. */
static void build_slice(struct builder *builder, void (*walk)(struct builder *),
			struct endpoint_slice *slice)
{
	size_t endpoints_size, ports_size;

	walk(builder);
	walk_ports(builder);
	if (builder->decoder->rc < 0)
		return;
	endpoints_size = aligned(builder->endpoint_count * sizeof(*builder->endpoints));
	ports_size = aligned(builder->port_count * sizeof(*builder->ports));
	slice->memory = malloc(endpoints_size + ports_size + builder->rest_used + 1);
	if (!slice->memory) {
		no_memory(builder->decoder);
		return;
	}
	builder->memory = slice->memory;
	builder->endpoints = (struct slice_endpoint *)(void *)builder->memory;
	builder->ports = (struct slice_port *)(void *)(builder->memory + endpoints_size);
	builder->rest = builder->memory + endpoints_size + ports_size;
	builder->rest_used = 0;
	builder->endpoint_count = 0;
	builder->port_count = 0;
	walk(builder);
	walk_ports(builder);
	slice->family = builder->family;
	slice->endpoints = builder->endpoints;
	slice->endpoint_count = builder->endpoint_count;
	slice->ports = builder->ports;
	slice->port_count = builder->port_count;
}

/* What Endpoints and EndpointSlice have in common. */
static void read_pod(struct builder *builder, const cJSON *item, struct slice_endpoint *endpoint)
{
	struct decoder *decoder = builder->decoder;
	const cJSON *target = get_object(decoder, item, "endpoints[].targetRef");
	const char *uid;

	endpoint->hostname = store_text(builder, get_text(decoder, item, "endpoints[].hostname"));
	endpoint->node_name = store_text(builder, get_text(decoder, item, "endpoints[].nodeName"));
	endpoint->target_namespace = "";
	endpoint->target_name = "";
	if (strcmp(get_text(decoder, target, "endpoints[].targetRef.kind"), "Pod") != 0)
		return;
	endpoint->target_namespace =
		store_text(builder, get_text(decoder, target, "endpoints[].targetRef.namespace"));
	endpoint->target_name =
		store_text(builder, get_text(decoder, target, "endpoints[].targetRef.name"));
	uid = get_text(decoder, target, "endpoints[].targetRef.uid");
	if (*uid) {
		uint64_t hash = hash_text(0, uid);

		endpoint->target_uid_hash = hash ? hash : 1; /* 0 says: none */
	}
}

/* ---- EndpointSlice ---- */

/* A list of {"name"}. */
static const char *const *read_hints(struct builder *builder, const cJSON *hints, const char *field,
				     unsigned *ret_count)
{
	const cJSON *list = get_array(builder->decoder, hints, field);
	const char **names = store_array(builder, (unsigned)cJSON_GetArraySize(list));
	const cJSON *item;
	unsigned count = 0;

	cJSON_ArrayForEach (item, list) {
		const char *name = store_text(builder, get_text(builder->decoder, item,
								"endpoints[].hints.*.name"));

		if (names)
			names[count] = name;
		count++;
	}
	*ret_count = count;
	return names;
}

/* addresses[0] of the slice's family; "no semantics are defined beyond the first". */
static bool read_first_address(struct builder *builder, const cJSON *item,
			       struct ip_address *ret_address)
{
	const cJSON *list = get_array(builder->decoder, item, "endpoints[].addresses");
	const cJSON *first = list ? list->child : NULL;

	if (!first)
		return false;
	if (!cJSON_IsString(first)) {
		bad(builder->decoder, "endpoints[].addresses[0] is not a string");
		return false;
	}
	return ip_parse_sloppy(first->valuestring, ret_address) == 0 &&
	       ip_family_of(ret_address) == builder->family;
}

static void walk_endpoint(struct builder *builder, const cJSON *item)
{
	struct decoder *decoder = builder->decoder;
	struct slice_endpoint endpoint = {0};
	const cJSON *conditions, *hints;

	if (!check_object(decoder, item, "endpoints[]"))
		return;
	if (!read_first_address(builder, item, &endpoint.address)) {
		skip(builder);
		return;
	}
	conditions = get_object(decoder, item, "endpoints[].conditions");
	endpoint.ready = get_bool(decoder, conditions, "endpoints[].conditions.ready", true);
	endpoint.serving = get_bool(decoder, conditions, "endpoints[].conditions.serving", true);
	endpoint.terminating =
		get_bool(decoder, conditions, "endpoints[].conditions.terminating", false);
	read_pod(builder, item, &endpoint);
	endpoint.zone = store_text(builder, get_text(decoder, item, "endpoints[].zone"));
	hints = get_object(decoder, item, "endpoints[].hints");
	endpoint.zone_hints =
		read_hints(builder, hints, "endpoints[].hints.forZones", &endpoint.zone_hint_count);
	endpoint.node_hints =
		read_hints(builder, hints, "endpoints[].hints.forNodes", &endpoint.node_hint_count);
	store_endpoint(builder, &endpoint);
}

static void walk_slice(struct builder *builder)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, builder->endpoint_list) {
		walk_endpoint(builder, item);
	}
}

static void read_slice(struct decoder *decoder, const cJSON *root, const cJSON *metadata,
		       struct object *object)
{
	const cJSON *labels = get_object(decoder, metadata, "metadata.labels");
	const cJSON *service_name = member(labels, LABEL_SERVICE_NAME);
	const char *type = get_text(decoder, root, "addressType");
	struct endpoint_slice *slice = calloc(1, sizeof(*slice));
	struct builder builder = {
		.decoder = decoder,
		.endpoint_list = get_array(decoder, root, "endpoints"),
		.port_list = get_array(decoder, root, "ports"),
		.family = strcmp(type, "IPv6") == 0 ? IP_FAMILY_6 : IP_FAMILY_4,
	};

	if (!slice) {
		no_memory(decoder);
		return;
	}
	object->slices = slice;
	object->slice_count = 1;
	if (!*type)
		bad(decoder, "addressType is missing");
	if (strcmp(type, "IPv4") != 0 && strcmp(type, "IPv6") != 0) {
		/* FQDN, or a type of the future: a proxy can use neither. */
		slice->fqdn = true;
		builder.endpoint_list = NULL;
	}
	/* A value that is no DNS label names no Service. */
	if (cJSON_IsString(service_name) && dns_label_valid(service_name->valuestring))
		snprintf(slice->service_name, sizeof(slice->service_name), "%s",
			 service_name->valuestring);
	slice->headless = member(labels, LABEL_HEADLESS) != NULL;
	build_slice(&builder, walk_slice, slice);
}

/* ---- Endpoints ---- */

static void walk_addresses(struct builder *builder, const cJSON *list, bool ready)
{
	struct decoder *decoder = builder->decoder;
	const cJSON *item;

	cJSON_ArrayForEach (item, list) {
		struct slice_endpoint endpoint = {.ready = ready, .serving = ready, .zone = ""};

		if (!check_object(decoder, item, "subsets[].addresses[]"))
			return;
		if (ip_parse_sloppy(get_text(decoder, item, "subsets[].addresses[].ip"),
				    &endpoint.address) < 0) {
			skip(builder);
			continue;
		}
		if (ip_family_of(&endpoint.address) != builder->family)
			continue;
		read_pod(builder, item, &endpoint);
		store_endpoint(builder, &endpoint);
	}
}

static void walk_subset(struct builder *builder)
{
	walk_addresses(builder, builder->endpoint_list, true);
	walk_addresses(builder, builder->not_ready_list, false);
}

/* One slice for each family that the subset has addresses of. */
static void read_subset(struct decoder *decoder, const cJSON *item,
			const struct endpoint_slice *form, struct object *object)
{
	static const enum ip_family families[] = {IP_FAMILY_4, IP_FAMILY_6};
	unsigned skipped = decoder->skipped;

	if (!check_object(decoder, item, "subsets[]"))
		return;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct endpoint_slice *slice = &object->slices[object->slice_count];
		struct builder builder = {
			.decoder = decoder,
			.family = families[i],
			.endpoint_list = get_array(decoder, item, "subsets[].addresses"),
			.not_ready_list = get_array(decoder, item, "subsets[].notReadyAddresses"),
			.port_list = get_array(decoder, item, "subsets[].ports"),
		};

		/* Each family passes by the same bad ports and addresses. */
		decoder->skipped = skipped;
		*slice = *form;
		build_slice(&builder, walk_subset, slice);
		if (slice->endpoint_count > 0)
			object->slice_count++;
		else
			free(slice->memory);
	}
}

static void read_endpoints(struct decoder *decoder, const cJSON *root, const cJSON *metadata,
			   struct object *object)
{
	const cJSON *labels = get_object(decoder, metadata, "metadata.labels");
	const cJSON *annotations = get_object(decoder, metadata, "metadata.annotations");
	const cJSON *capacity = member(annotations, ANNOTATION_OVER_CAPACITY);
	const cJSON *subsets = get_array(decoder, root, "subsets");
	struct endpoint_slice form = {.headless = member(labels, LABEL_HEADLESS) != NULL};
	const cJSON *item;

	object->truncated =
		cJSON_IsString(capacity) && strcmp(capacity->valuestring, "truncated") == 0;
	if (!subsets || !subsets->child)
		return;
	/* A name with dots, as old leader elections have, is no Service's. */
	if (dns_label_valid(object->name))
		memcpy(form.service_name, object->name, strlen(object->name) + 1);
	object->slices = calloc(2 * (size_t)cJSON_GetArraySize(subsets), sizeof(*object->slices));
	if (!object->slices) {
		no_memory(decoder);
		return;
	}
	cJSON_ArrayForEach (item, subsets) {
		read_subset(decoder, item, &form, object);
	}
}

/* ---- Service ---- */

static void add_cluster_ip(struct decoder *decoder, struct service *service, const char *text)
{
	if (service->cluster_ip_count == 2 ||
	    ip_parse_sloppy(text, &service->cluster_ips[service->cluster_ip_count]) < 0)
		decoder->skipped++;
	else
		service->cluster_ip_count++;
}

/* The addresses are those of spec.ipFamilies, one by one; without any the single one (kube-proxy,
 * pkg/proxy/util/utils.go GetClusterIPByFamily). */
static void read_families(struct decoder *decoder, const cJSON *spec, const cJSON *ips,
			  struct service *service)
{
	const cJSON *list = get_array(decoder, spec, "spec.ipFamilies");
	const cJSON *item;
	const cJSON *ip = ips ? ips->child : NULL;

	cJSON_ArrayForEach (item, list) {
		if (!cJSON_IsString(item)) {
			bad(decoder, "spec.ipFamilies[] is not a string");
			return;
		}
		if (service->family_count < 2)
			service->families[service->family_count++] =
				strcmp(item->valuestring, "IPv6") == 0 ? IP_FAMILY_6 : IP_FAMILY_4;
		if (ip && !service->headless)
			add_cluster_ip(decoder, service, ip->valuestring);
		ip = ip ? ip->next : NULL;
	}
}

static void read_cluster_ips(struct decoder *decoder, const cJSON *spec, struct service *service)
{
	const char *single = get_text(decoder, spec, "spec.clusterIP");
	const cJSON *list = get_array(decoder, spec, "spec.clusterIPs");
	const cJSON *item;

	cJSON_ArrayForEach (item, list) {
		if (!cJSON_IsString(item)) {
			bad(decoder, "spec.clusterIPs[] is not a string");
			return;
		}
	}
	service->headless = strcmp(single, "None") == 0;
	if (!*single)
		list = NULL;
	read_families(decoder, spec, list, service);
	if (*single && !service->headless && service->family_count == 0)
		add_cluster_ip(decoder, service, single);
}

static uint32_t read_affinity(struct decoder *decoder, const cJSON *spec)
{
	const cJSON *config = get_object(decoder, spec, "spec.sessionAffinityConfig");
	const cJSON *client = get_object(decoder, config, "spec.sessionAffinityConfig.clientIP");
	long seconds = AFFINITY_DEFAULT_S;

	if (strcmp(get_text(decoder, spec, "spec.sessionAffinity"), "ClientIP") != 0)
		return 0;
	is_integer(member(client, "timeoutSeconds"), 1, AFFINITY_MAX_S, &seconds);
	return (uint32_t)seconds;
}

static void read_service_ports(struct decoder *decoder, const cJSON *spec, struct service *service)
{
	const cJSON *list = get_array(decoder, spec, "spec.ports");
	const cJSON *item;

	if (!list || !list->child)
		return;
	service->ports = calloc((size_t)cJSON_GetArraySize(list), sizeof(*service->ports));
	if (!service->ports) {
		no_memory(decoder);
		return;
	}
	cJSON_ArrayForEach (item, list) {
		struct service_port *to = &service->ports[service->port_count];
		struct slice_port port;

		if (!read_port(decoder, item, &port) || port.port == 0) {
			decoder->skipped++;
			continue;
		}
		memcpy(to->name, port.name, sizeof(to->name));
		to->protocol = port.protocol;
		to->port = port.port;
		service->port_count++;
	}
}

static void read_service(struct decoder *decoder, const cJSON *root, const cJSON *metadata,
			 struct object *object)
{
	const cJSON *labels = get_object(decoder, metadata, "metadata.labels");
	const cJSON *spec = get_object(decoder, root, "spec");
	struct service *service = calloc(1, sizeof(*service));

	if (!service) {
		no_memory(decoder);
		return;
	}
	object->service = service;
	if (!spec)
		bad(decoder, "spec is missing");
	memcpy(service->namespace, object->namespace, sizeof(service->namespace));
	memcpy(service->name, object->name, sizeof(service->name)); /* a DNS label */
	service->other_proxy = member(labels, LABEL_PROXY_NAME) != NULL;
	service->external_name = strcmp(get_text(decoder, spec, "spec.type"), "ExternalName") == 0;
	service->internal_traffic_local =
		strcmp(get_text(decoder, spec, "spec.internalTrafficPolicy"), "Local") == 0;
	if (!service->external_name)
		read_cluster_ips(decoder, spec, service);
	service->affinity_timeout_s = read_affinity(decoder, spec);
	read_service_ports(decoder, spec, service);
}

/* ---- Entry points ---- */

/* Also after an error @object holds what was allocated. */
static void read_object(struct decoder *decoder, const cJSON *root, struct object *object)
{
	const cJSON *metadata = read_metadata(decoder, root, object);

	if (decoder->rc < 0)
		return;
	object->kind = decoder->kind;
	switch (decoder->kind) {
	case OBJECT_SERVICE:
		read_service(decoder, root, metadata, object);
		break;
	case OBJECT_ENDPOINT_SLICE:
		read_slice(decoder, root, metadata, object);
		break;
	case OBJECT_ENDPOINTS:
		read_endpoints(decoder, root, metadata, object);
		break;
	}
}

/* Takes @root over. */
static int finish_object(struct decoder *decoder, cJSON *root, struct object *ret_object,
			 unsigned *ret_skipped)
{
	struct object object = {0};

	read_object(decoder, root, &object);
	cJSON_Delete(root);
	if (decoder->rc < 0) {
		object_clear(&object);
		return decoder->rc;
	}
	*ret_object = object;
	if (ret_skipped)
		*ret_skipped = decoder->skipped;
	return 0;
}

int json_decode_object(enum object_kind kind, const char *text, size_t size,
		       struct object *ret_object, unsigned *ret_skipped, char *error,
		       size_t error_size)
{
	struct decoder decoder = {.kind = kind, .error = error, .error_size = error_size};
	cJSON *root = parse_text(&decoder, text, size);

	return root ? finish_object(&decoder, root, ret_object, ret_skipped) : decoder.rc;
}

static bool find_kind(const char *text, enum object_kind *ret_kind)
{
	static const enum object_kind kinds[] = {OBJECT_SERVICE, OBJECT_ENDPOINT_SLICE,
						 OBJECT_ENDPOINTS};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(text, object_kind_name(kinds[i])) == 0) {
			*ret_kind = kinds[i];
			return true;
		}
	}
	return false;
}

int json_decode_item(const char *text, size_t size, enum object_kind *ret_kind,
		     struct object *ret_object, unsigned *ret_skipped, char *error,
		     size_t error_size)
{
	struct decoder decoder = {.error = error, .error_size = error_size};
	cJSON *root = parse_text(&decoder, text, size);

	if (!root)
		return decoder.rc == -ENOMEM ? -ENOMEM : -ENOTSUP;
	if (!find_kind(get_text(&decoder, root, "kind"), &decoder.kind)) {
		cJSON_Delete(root);
		return -ENOTSUP;
	}
	*ret_kind = decoder.kind;
	return finish_object(&decoder, root, ret_object, ret_skipped);
}

static enum watch_event_type event_type(const char *text)
{
	static const char *const names[] = {
		[WATCH_ADDED] = "ADDED",     [WATCH_MODIFIED] = "MODIFIED",
		[WATCH_DELETED] = "DELETED", [WATCH_BOOKMARK] = "BOOKMARK",
		[WATCH_ERROR] = "ERROR",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0)
			return (enum watch_event_type)i;
	}
	return WATCH_UNKNOWN;
}

static void read_event(struct decoder *decoder, const cJSON *root, struct watch_event *event)
{
	const cJSON *object = member(root, "object");
	const char *type = get_text(decoder, root, "type");

	if (!*type)
		bad(decoder, "a watch event without type");
	event->type = event_type(type);
	if (decoder->rc < 0 || event->type == WATCH_UNKNOWN ||
	    !check_object(decoder, object, "object"))
		return;
	switch (event->type) {
	case WATCH_ERROR:
		read_status(decoder, object, &event->status);
		break;
	case WATCH_BOOKMARK:
		check_kind(decoder, object, "");
		event->object.kind = decoder->kind;
		get_resource_version(decoder, get_object(decoder, object, "metadata"),
				     event->object.resource_version);
		need_resource_version(decoder, event->object.resource_version);
		break;
	default:
		read_object(decoder, object, &event->object);
		need_resource_version(decoder, event->object.resource_version);
	}
}

int json_decode_watch_event(enum object_kind kind, const char *text, size_t size,
			    struct watch_event *ret_event, unsigned *ret_skipped, char *error,
			    size_t error_size)
{
	struct decoder decoder = {.kind = kind, .error = error, .error_size = error_size};
	struct watch_event event = {.status.retry_after_s = -1};
	cJSON *root = parse_text(&decoder, text, size);

	if (!root)
		return decoder.rc;
	read_event(&decoder, root, &event);
	cJSON_Delete(root);
	if (decoder.rc < 0) {
		object_clear(&event.object);
		return decoder.rc;
	}
	*ret_event = event;
	if (ret_skipped)
		*ret_skipped = decoder.skipped;
	return 0;
}

int json_decode_list_envelope(enum object_kind kind, const char *text, size_t size,
			      struct list_envelope *ret_envelope, char *error, size_t error_size)
{
	struct decoder decoder = {.kind = kind, .error = error, .error_size = error_size};
	struct list_envelope envelope = {.continue_token = NULL};
	cJSON *root = parse_text(&decoder, text, size);
	const cJSON *metadata;
	const char *token;

	if (!root)
		return decoder.rc;
	check_kind(&decoder, root, "List");
	metadata = get_object(&decoder, root, "metadata");
	get_resource_version(&decoder, metadata, envelope.resource_version);
	need_resource_version(&decoder, envelope.resource_version);
	token = get_text(&decoder, metadata, "metadata.continue");
	if (*token && decoder.rc == 0) {
		envelope.continue_token = strdup(token);
		if (!envelope.continue_token)
			no_memory(&decoder);
	}
	cJSON_Delete(root);
	if (decoder.rc == 0)
		*ret_envelope = envelope;
	return decoder.rc;
}

int json_decode_status(const char *text, size_t size, struct kube_status *ret_status, char *error,
		       size_t error_size)
{
	struct decoder decoder = {.error = error, .error_size = error_size};
	struct kube_status status = {0};
	cJSON *root = parse_text(&decoder, text, size);

	if (!root)
		return decoder.rc;
	read_status(&decoder, root, &status);
	cJSON_Delete(root);
	if (decoder.rc == 0)
		*ret_status = status;
	return decoder.rc;
}

int json_decode_identity(const char *text, size_t size, char *namespace, char *name)
{
	char error[128];
	struct decoder decoder = {.error = error, .error_size = sizeof(error)};
	char found_namespace[DNS_LABEL_SIZE];
	char found_name[OBJECT_NAME_SIZE];
	cJSON *root = parse_text(&decoder, text, size);
	const cJSON *metadata;

	if (!root)
		return -EBADMSG;
	metadata = get_object(&decoder, root, "metadata");
	get_name(&decoder, metadata, "metadata.namespace", dns_label_valid, found_namespace,
		 sizeof(found_namespace));
	get_name(&decoder, metadata, "metadata.name", object_name_valid, found_name,
		 sizeof(found_name));
	cJSON_Delete(root);
	if (decoder.rc < 0)
		return -EBADMSG;
	strcpy(namespace, found_namespace);
	strcpy(name, found_name);
	return 0;
}
