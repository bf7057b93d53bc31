// SPDX-License-Identifier: Apache-2.0
#include "base/service_ref.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Longest legal entry: two labels, a port name, an address with a port and the punctuation. */
#define LONGEST_ENTRY (3 * (DNS_LABEL_SIZE - 1) + INET6_ADDRSTRLEN + 16)

bool dns_label_valid(const char *label)
{
	size_t length = strlen(label);

	if (length == 0 || length >= DNS_LABEL_SIZE)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = label[i];
		bool inner = i > 0 && i + 1 < length;

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && inner)))
			return false;
	}
	return true;
}

static int parse_port_number(const char *text, uint16_t *ret_port)
{
	unsigned value = 0;

	if (!*text)
		return -EINVAL;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(*c - '0');
		if (value > 65535)
			return -ERANGE;
	}
	if (value == 0)
		return -ERANGE;
	*ret_port = (uint16_t)value;
	return 0;
}

static int parse_port(const char *text, struct service_ref *ref, char *error, size_t error_size)
{
	int rc = parse_port_number(text, &ref->port);

	if (rc == 0)
		return 0;
	if (rc == -ERANGE) {
		snprintf(error, error_size, "port %s is not within 1 to 65535", text);
		return -EINVAL;
	}
	if (!dns_label_valid(text)) {
		snprintf(error, error_size, "\"%s\" is neither a port number nor a port name",
			 text);
		return -EINVAL;
	}
	strcpy(ref->port_name, text);
	return 0;
}

static int parse_vip(char *text, struct service_ref *ref, char *error, size_t error_size)
{
	char *address = text;
	char *port = NULL;

	if (*text == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':')) {
			snprintf(error, error_size, "\"%s\" is not [IPv6] or [IPv6]:PORT", text);
			return -EINVAL;
		}
		address = text + 1;
		port = end[1] ? end + 2 : NULL;
		*end = '\0';
	} else if (strchr(text, ':') == strrchr(text, ':')) {
		/* No colon or one: IPv4. More: an IPv6 address without a port. */
		port = strchr(text, ':');
		if (port)
			*port++ = '\0';
	}
	if (ip_parse(address, &ref->vip) < 0) {
		snprintf(error, error_size, "\"%s\" after @ is not an IP address", address);
		return -EINVAL;
	}
	if (ip_never_cluster(&ref->vip)) {
		snprintf(error, error_size, "%s after @ cannot be the address of a Service",
			 address);
		return -EINVAL;
	}
	if (port && parse_port_number(port, &ref->vip_port) < 0) {
		snprintf(error, error_size, "port \"%s\" after @ is not within 1 to 65535", port);
		return -EINVAL;
	}
	ref->has_vip = true;
	return 0;
}

static int copy_label(char *to, const char *label, bool wildcard_allowed, const char *what,
		      char *error, size_t error_size)
{
	if (!(wildcard_allowed && strcmp(label, "*") == 0) && !dns_label_valid(label)) {
		snprintf(error, error_size,
			 "\"%s\" is not a %s (1 to 63 of a-z, 0-9 and inner \"-\")", label, what);
		return -EINVAL;
	}
	strcpy(to, label);
	return 0;
}

int service_ref_parse(const char *text, size_t length, const char *default_namespace,
		      struct service_ref *ret_ref, char *error, size_t error_size)
{
	struct service_ref ref = {0};
	char entry[LONGEST_ENTRY + 1];
	char *namespace = NULL;
	char *name = entry;
	char *port;
	char *vip;
	char *slash;

	if (length >= sizeof(entry)) {
		snprintf(error, error_size, "longer than %d bytes", LONGEST_ENTRY);
		return -EINVAL;
	}
	memcpy(entry, text, length);
	entry[length] = '\0';
	if (strlen(entry) != length) {
		snprintf(error, error_size, "holds a NUL byte");
		return -EINVAL;
	}

	vip = strchr(entry, '@');
	if (vip)
		*vip++ = '\0';
	slash = strchr(entry, '/');
	if (slash) {
		*slash = '\0';
		namespace = entry;
		name = slash + 1;
	}
	port = strchr(name, ':');
	if (port)
		*port++ = '\0';

	if (copy_label(ref.namespace, namespace ? namespace : default_namespace, true, "namespace",
		       error, error_size) < 0 ||
	    copy_label(ref.name, name, true, "Service name", error, error_size) < 0)
		return -EINVAL;
	if (strcmp(ref.namespace, "*") == 0 && strcmp(ref.name, "*") != 0) {
		snprintf(error, error_size, "namespace * goes only with the name *");
		return -EINVAL;
	}
	if (port && parse_port(port, &ref, error, error_size) < 0)
		return -EINVAL;
	if (vip) {
		if (strcmp(ref.name, "*") == 0) {
			snprintf(error, error_size, "@VIP needs one Service, not *");
			return -EINVAL;
		}
		if (parse_vip(vip, &ref, error, error_size) < 0)
			return -EINVAL;
		if (!ref.port && !ref.vip_port) {
			snprintf(error, error_size, "@VIP needs a port number, as in NAME:80@%s",
				 vip);
			return -EINVAL;
		}
	}
	*ret_ref = ref;
	return 0;
}

bool service_ref_covers(const struct service_ref *ref, const char *namespace, const char *name)
{
	return (dns_label_equal(ref->namespace, "*") ||
		dns_label_equal(ref->namespace, namespace)) &&
	       (dns_label_equal(ref->name, "*") || dns_label_equal(ref->name, name));
}

bool service_refs_cover(const struct service_ref *refs, unsigned count, const char *namespace,
			const char *name)
{
	for (unsigned i = 0; i < count; i++) {
		if (service_ref_covers(&refs[i], namespace, name))
			return true;
	}
	return false;
}

bool service_ref_covers_port(const struct service_ref *ref, const char *port_name, uint16_t port)
{
	if (ref->port)
		return ref->port == port;
	if (ref->port_name[0])
		return dns_label_equal(ref->port_name, port_name);
	return true;
}

bool service_refs_cover_port(const struct service_ref *refs, unsigned count, const char *namespace,
			     const char *name, const char *port_name, uint16_t port)
{
	for (unsigned i = 0; i < count; i++) {
		if (service_ref_covers(&refs[i], namespace, name) &&
		    service_ref_covers_port(&refs[i], port_name, port))
			return true;
	}
	return false;
}
