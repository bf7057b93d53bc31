// SPDX-License-Identifier: Apache-2.0
#include "base/object.h"

#include <stdlib.h>
#include <string.h>

static void service_free(struct service *service)
{
	if (!service)
		return;
	free(service->ports);
	free(service);
}

void object_clear(struct object *object)
{
	if (!object)
		return;
	service_free(object->service);
	for (unsigned i = 0; i < object->slice_count; i++)
		free(object->slices[i].memory);
	free(object->slices);
	memset(object, 0, sizeof(*object));
}

bool object_name_valid(const char *name)
{
	char before = '.';
	size_t length = strlen(name);

	if (length >= OBJECT_NAME_SIZE)
		return false;
	for (const char *c = name; *c; c++) {
		bool alphanumeric = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');

		if (!alphanumeric && *c != '-' && *c != '.')
			return false;
		if ((*c == '.' && before == '-') || (!alphanumeric && before == '.'))
			return false;
		before = *c;
	}
	return before != '-' && before != '.';
}

const char *object_kind_name(enum object_kind kind)
{
	switch (kind) {
	case OBJECT_SERVICE:
		return "Service";
	case OBJECT_ENDPOINT_SLICE:
		return "EndpointSlice";
	case OBJECT_ENDPOINTS:
		return "Endpoints";
	}
	return "object";
}

const char *protocol_name(enum protocol protocol)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return "TCP";
	case PROTOCOL_UDP:
		return "UDP";
	case PROTOCOL_SCTP:
		return "SCTP";
	}
	return "?";
}
