/* One entry of K8SLB_SERVICES: which Service, and what is known of it beforehand. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_SERVICE_REF_H
#define K8SLB_BASE_SERVICE_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* A DNS label is at most 63 bytes (RFC 1035 2.3.4); namespaces, Service names and port names are
 * DNS labels (Kubernetes "Object Names and IDs"). */
#define DNS_LABEL_SIZE 64

/* Not strcmp(3), which is not for where a Go program passes (shim/go_choose.h). */
static inline bool dns_label_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

struct service_ref {
	char namespace[DNS_LABEL_SIZE]; /* "*": all namespaces */
	char name[DNS_LABEL_SIZE];	/* "*": all Services of the namespace */
	char port_name[DNS_LABEL_SIZE]; /* "" when the entry gives none, or a number */
	uint16_t port;			/* Service port; 0: all of them, or see port_name */
	bool has_vip;			/* @vip is set: it serves when Services may not be read */
	struct ip_address vip;
	uint16_t vip_port; /* 0: as @port */
};

/*
 * Reads "[NAMESPACE/]NAME[:PORT][@VIP[:PORT]]", @length bytes of @text. An IPv6 VIP with a port
 * stands in brackets. A bare NAME gets @default_namespace.
 * Returns 0 or -EINVAL with the reason in @error (never NULL).
 */
int service_ref_parse(const char *text, size_t length, const char *default_namespace,
		      struct service_ref *ret_ref, char *error, size_t error_size);

/* The entry asks for this Service (wildcards included). */
bool service_ref_covers(const struct service_ref *ref, const char *namespace, const char *name);

/* Any of the entries asks for this Service. */
bool service_refs_cover(const struct service_ref *refs, unsigned count, const char *namespace,
			const char *name);

/* Any of the entries asks for this port of this Service. */
bool service_refs_cover_port(const struct service_ref *refs, unsigned count, const char *namespace,
			     const char *name, const char *port_name, uint16_t port);

/* The entry asks for this port of a Service that it covers. */
bool service_ref_covers_port(const struct service_ref *ref, const char *port_name, uint16_t port);

/* 1..63 bytes of a-z, 0-9 and '-', first and last not '-' (RFC 1123 2.1). */
bool dns_label_valid(const char *label);

#endif
