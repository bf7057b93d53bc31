/* The answer of a name lookup: its addresses, of the families asked for and in libc's order. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_RESOLVED_H
#define K8SLB_SHIM_RESOLVED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "resolv_conf.h"

/* This many stay on the caller's stack; more are mapped. */
#define RESOLVED_FEW 32u
/* As many endpoints as one Service may have here, or the answer is libc's (base/limits.h). */
#define RESOLVED_MOST 8192u

struct resolve_query {
	const char *host;
	int family;	  /* AF_UNSPEC, AF_INET or AF_INET6 */
	bool addr_config; /* only families that this host has (AI_ADDRCONFIG) */
	bool v4_mapped;	  /* IPv4 may answer AF_INET6 (AI_V4MAPPED) */
	bool all;	  /* beside IPv6 too (AI_ALL) */
	const char *port; /* number or name of a TCP port; NULL: unknown */
};

struct resolved_address {
	struct ip_address ip;
	uint16_t port; /* 0: the caller's own */
};

struct resolved {
	unsigned count;
	unsigned room;
	struct resolved_address *addresses; /* of one family or of both */
	struct resolved_address few[RESOLVED_FEW];
	size_t mapped;		     /* bytes of @addresses that are not @few; 0: they are */
	char host[RESOLV_NAME_SIZE]; /* [POD.]NAME.NAMESPACE.svc.DOMAIN */
};

/* Makes it empty. The struct must not move from then on. */
void resolved_init(struct resolved *resolved);

/* Makes room for @count addresses in all. False beyond RESOLVED_MOST, or without memory. */
bool resolved_reserve(struct resolved *resolved, unsigned count);

/* Appends an address that it does not have yet; there must be room. */
void resolved_add(struct resolved *resolved, const struct ip_address *ip, uint16_t port);

/* The same without looking whether it is there. */
void resolved_add_new(struct resolved *resolved, const struct ip_address *ip, uint16_t port);

/*
 * Leaves the addresses that @query asks for. Of both families: those of one that this host cannot
 * reach go behind the others (RFC 6724 rule 1), or out with AI_ADDRCONFIG; else IPv6 goes first, as
 * glibc has it (its rule 6, by the precedence of ::/0). Within a family the order stays.
 */
void resolved_keep_family(struct resolved *resolved, const struct resolve_query *query);

/* Unmaps. Takes a struct that resolved_init() made. */
void resolved_free(struct resolved *resolved);

#endif
