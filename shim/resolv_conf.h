/* resolv.conf(5) as the host's own resolver reads it, and the names that it tries for one. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_RESOLV_CONF_H
#define K8SLB_SHIM_RESOLV_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOLV_NAME_SIZE 256 /* a DNS name, 253 bytes, with a dot and its NUL */
/* Bytes of the search list that are kept. The names that the kubelet's first three domains make
 * decide; with the longest namespace and a domain of 100 bytes they are 380. */
#define RESOLV_SEARCH_SIZE 504

/*
 * The two resolvers differ (glibc 2.41, resolv/res_init.c and res_query.c; musl 1.2.5,
 * src/network/resolvconf.c and lookup_name.c): glibc takes "domain" for one word, keeps an older
 * list where "search" stands alone, and knows LOCALDOMAIN, RES_OPTIONS and the domain of the host's
 * name; musl leaves out lines of more than 254 bytes.
 */
enum resolv_libc {
	RESOLV_GLIBC,
	RESOLV_MUSL,
};

struct resolv_conf {
	uint32_t ndots;
	uint32_t cut;			 /* 1: the list goes on, and nobody knows how */
	char search[RESOLV_SEARCH_SIZE]; /* domains, a blank after each; "": none */
};

/* What counts where no line says otherwise: no list, ndots 1. */
void resolv_conf_init(struct resolv_conf *conf);

/* Takes one line of the file, without its end. @cut: its rest is missing. */
void resolv_conf_line(struct resolv_conf *conf, enum resolv_libc libc, const char *line, bool cut);

/* Replaces the list by the domains of @text, as LOCALDOMAIN does. */
void resolv_conf_set_search(struct resolv_conf *conf, const char *text);

/* Takes options as RES_OPTIONS has them. */
void resolv_conf_options(struct resolv_conf *conf, enum resolv_libc libc, const char *options);

/* What the kubelet writes for a Pod of @namespace (kubelet, network/dns/dns.go). */
void resolv_conf_of_pod(struct resolv_conf *conf, const char *namespace, const char *domain);

/*
 * The cluster's domain: D where the list has "svc.D" and "NAMESPACE.svc.D", as the kubelet writes
 * it; a company may have a svc.example.com. Writes it in lower case and returns true, else false.
 */
bool resolv_conf_domain(const struct resolv_conf *conf, char domain[RESOLV_NAME_SIZE]);

/* A walk through the names that are asked for @host, in order. All zero but for @host at first. */
struct resolv_walk {
	const char *host;
	size_t at;  /* in the list */
	bool ended; /* what is asked then is @host itself, or not known */
};

/*
 * Writes the next name of the list: lower case, without a dot at its end. False where the resolver
 * goes on with @host as it stands, which may be at once.
 */
bool resolv_walk_next(struct resolv_walk *walk, const struct resolv_conf *conf,
		      char name[RESOLV_NAME_SIZE]);

/* Copies @host in lower case, without one dot at its end. False when it is longer than a name. */
bool resolv_name_copy(const char *host, char name[RESOLV_NAME_SIZE]);

/* The "hosts:" line of nsswitch.conf(5) asks DNS before anything but /etc/hosts and
 * nss-myhostname(8), which know no name of a cluster. */
bool nsswitch_asks_dns(const char *line);

#endif
