/* The Kubernetes objects as the stages see them: Service and EndpointSlice, decoded. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_OBJECT_H
#define K8SLB_BASE_OBJECT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/service_ref.h"

/* A DNS subdomain is at most 253 bytes: names of EndpointSlices, Nodes and Pods. */
#define OBJECT_NAME_SIZE 254

enum object_kind {
	OBJECT_SERVICE,	       /* v1 Service */
	OBJECT_ENDPOINT_SLICE, /* discovery.k8s.io/v1 EndpointSlice */
	OBJECT_ENDPOINTS,      /* v1 Endpoints, turned into slices by the decoder */
};

/* A port's protocol as its IANA number; other protocols are not kept. */
enum protocol {
	PROTOCOL_TCP = IPPROTO_TCP,
	PROTOCOL_UDP = IPPROTO_UDP,
	PROTOCOL_SCTP = IPPROTO_SCTP,
};

struct service_port {
	char name[DNS_LABEL_SIZE]; /* "" when unnamed */
	enum protocol protocol;
	uint16_t port; /* 1..65535 */
};

/* core/v1 types.go, Service. Strings are never NULL. */
struct service {
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
	struct ip_address cluster_ips[2]; /* spec.clusterIPs, else spec.clusterIP */
	unsigned cluster_ip_count;	  /* 0: headless or ExternalName */
	enum ip_family families[2];	  /* spec.ipFamilies; @family_count 0: not told */
	unsigned family_count;
	bool headless;	    /* clusterIP "None" */
	bool external_name; /* type ExternalName */
	bool made_up; /* stands in for a Service that may not be read: its port names are guesses */
	bool other_proxy;	     /* label service.kubernetes.io/service-proxy-name */
	bool internal_traffic_local; /* internalTrafficPolicy: Local */
	bool one_attempt;	     /* annotation k8slb.io/attempts: "1" */
	uint32_t affinity_timeout_s; /* sessionAffinity ClientIP; 0: None */
	struct service_port *ports;
	unsigned port_count;
};

struct slice_port {
	char name[DNS_LABEL_SIZE];
	enum protocol protocol;
	uint16_t port; /* 0: the slice gives no number; such a port is never used */
};

/* An endpoint; all its strings live as long as its slice and are never NULL ("" when absent). */
struct slice_endpoint {
	struct ip_address address; /* addresses[0]; the others have no meaning to a proxy */
	bool ready;		   /* absent means true (discovery/v1 types.go:145-168) */
	bool serving;		   /* absent means true */
	bool terminating;	   /* absent means false */
	const char *hostname;
	const char *node_name;
	const char *zone;
	const char *target_namespace; /* targetRef of kind Pod */
	const char *target_name;
	uint64_t target_uid_hash;      /* of targetRef.uid; 0: none */
	const char *const *zone_hints; /* hints.forZones[].name; @zone_hint_count of them */
	unsigned zone_hint_count;
	const char *const *node_hints; /* hints.forNodes[].name */
	unsigned node_hint_count;
};

struct endpoint_slice {
	char service_name[DNS_LABEL_SIZE]; /* label kubernetes.io/service-name; "" without it */
	bool headless;			   /* label service.kubernetes.io/headless */
	bool fqdn;			   /* addressType FQDN: no proxy uses it */
	enum ip_family family;
	struct slice_port *ports;
	unsigned port_count;
	struct slice_endpoint *endpoints;
	unsigned endpoint_count;
	void *memory; /* one block that holds ports, endpoints and all strings */
};

/* Any of the kinds, with the metadata that list and watch need. */
struct object {
	enum object_kind kind;
	char namespace[DNS_LABEL_SIZE];
	char name[OBJECT_NAME_SIZE];
	bool truncated;		 /* an Endpoints that lists only the first 1 000 of its addresses */
	struct service *service; /* OBJECT_SERVICE, else NULL */
	struct endpoint_slice *slices; /* one of an EndpointSlice, any number of an Endpoints */
	unsigned slice_count;
};

/* Frees what the object holds and makes it all zero; not the struct itself. Takes NULL. */
void object_clear(struct object *object);

/* A DNS subdomain (RFC 1123): labels of a-z, 0-9 and '-', joined by dots, at most 253 bytes. */
bool object_name_valid(const char *name);

/* "Service", "EndpointSlice" or "Endpoints". */
const char *object_kind_name(enum object_kind kind);

/* "TCP", "UDP" or "SCTP". */
const char *protocol_name(enum protocol protocol);

#endif
