// SPDX-License-Identifier: Apache-2.0
#include "kube/json_metadata.h"

#include <stdio.h>
#include <string.h>

#include "kube/json_stream.h"

void json_get_name(struct json_decoder *decoder, const cJSON *metadata, const char *field,
		   bool (*valid)(const char *), char *copy, size_t size)
{
	const char *text = json_get_text(decoder, metadata, field);
	char quote[JSON_QUOTE_SIZE];

	if (valid(text)) {
		snprintf(copy, size, "%s", text);
		return;
	}
	json_printable(quote, sizeof(quote), text, strlen(text));
	json_bad(decoder, "%s \"%s\" is not a legal name", field, quote);
}

char *json_copy_resource_version(struct json_decoder *decoder, const cJSON *metadata)
{
	const char *text = json_get_text(decoder, metadata, "metadata.resourceVersion");
	char *copy;

	if (!*text)
		json_bad(decoder, "metadata.resourceVersion is missing");
	for (const char *c = text; *c; c++) {
		if (*c < 0x21 || *c > 0x7e)
			json_bad(decoder, "metadata.resourceVersion has an illegal character");
	}
	if (decoder->rc < 0)
		return NULL;
	copy = strdup(text);
	if (!copy)
		json_no_memory(decoder);
	return copy;
}

void json_check_kind(struct json_decoder *decoder, const cJSON *root, const char *suffix)
{
	const char *wanted = object_kind_name(decoder->kind);
	const char *text = json_get_text(decoder, root, "kind");
	size_t length = strlen(wanted);
	char quote[JSON_QUOTE_SIZE];

	if (!*text || (strncmp(text, wanted, length) == 0 && strcmp(text + length, suffix) == 0))
		return;
	json_printable(quote, sizeof(quote), text, strlen(text));
	json_bad(decoder, "kind is \"%s\", expected %s%s", quote, wanted, suffix);
}

const cJSON *json_read_metadata(struct json_decoder *decoder, const cJSON *root,
				struct object *object)
{
	const cJSON *metadata = json_get_object(decoder, root, "metadata");

	json_check_kind(decoder, root, "");
	json_get_name(decoder, metadata, "metadata.namespace", dns_label_valid, object->namespace,
		      sizeof(object->namespace));
	json_get_name(decoder, metadata, "metadata.name",
		      decoder->kind == OBJECT_SERVICE ? dns_label_valid : object_name_valid,
		      object->name, sizeof(object->name));
	snprintf(decoder->where, sizeof(decoder->where),
		 "%s %s/%s: ", object_kind_name(decoder->kind), object->namespace, object->name);
	return metadata;
}

bool json_read_address(struct json_decoder *decoder, const char *text,
		       struct ip_address *ret_address)
{
	char quote[JSON_QUOTE_SIZE];
	struct ip_address address;

	json_printable(quote, sizeof(quote), text, strlen(text));
	if (ip_parse_sloppy(text, &address) < 0) {
		json_gap(decoder, "\"%s\" is no address", quote);
		return false;
	}
	/* ::ffff:127.0.0.1 as well: an IPv4 address that is not written as one (apimachinery,
	 * validation/ip.go, IsValidIP). */
	if (ip_never_cluster(&address) ||
	    (strchr(text, ':') && ip_family_of(&address) == IP_FAMILY_4)) {
		json_gap(decoder, "%s can be no address of a Service or a pod", quote);
		return false;
	}
	*ret_address = address;
	return true;
}

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

bool json_read_port(struct json_decoder *decoder, const cJSON *item, struct slice_port *ret_port)
{
	const cJSON *number_item = json_member(item, "port");
	const char *name = json_get_text(decoder, item, "ports[].name");
	int protocol = protocol_number(json_get_text(decoder, item, "ports[].protocol"));
	long number = 0;

	if (!json_check_object(decoder, item, "ports[]") || !protocol ||
	    (*name && !dns_label_valid(name)) ||
	    (number_item && !json_is_integer(number_item, 1, 65535, &number)))
		return false;
	memset(ret_port, 0, sizeof(*ret_port));
	snprintf(ret_port->name, sizeof(ret_port->name), "%s", name);
	ret_port->protocol = (enum protocol)protocol;
	ret_port->port = (uint16_t)number;
	return true;
}
