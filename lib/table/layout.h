/* The bytes of the table: what a writer publishes and readers of any process may map. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_LAYOUT_H
#define K8SLB_TABLE_LAYOUT_H

#include <stdint.h>

#include "base/address.h"

/*
 *   header (one page) | arena 0 | arena 1 | arena 2
 *
 * Each arena holds one whole snapshot; header.current names the newest. The writer fills the next
 * arena, so a reader has the time of two publishes before its data can change under it, and then
 * sees it by the sequence number. All offsets count bytes from the start of the arena, are
 * multiples of 8 and are checked by every reader: the file may come from anybody.
 * All numbers are in the machine's own order; ports too. Sizes of all records are multiples of 8
 * because they are copied word by word (base/atomic.h).
 */
#define TABLE_MAGIC	  0x3142414c53384bULL /* "K8SLAB1" little endian */
#define TABLE_VERSION	  4u
#define TABLE_ARENAS	  3u
#define TABLE_HEADER_SIZE 4096u
#define TABLE_ARENA_MIN	  (128u * 1024)
#define TABLE_ARENA_MAX	  (256u * 1024 * 1024)
/* A lookup that probes more slots than this is in a damaged table. */
#define TABLE_PROBE_LIMIT 1024u
#define TABLE_PARTS	  256u

struct table_header {
	uint64_t magic;
	uint32_t version;
	uint32_t arena_count;
	uint64_t arena_size; /* bytes, multiple of 4096 */
	uint64_t current;    /* generation << 8 | arena; 0: nothing published yet */
	uint32_t state;	     /* enum table_state */
	uint32_t moved;	     /* 1: a larger table took this one's place */
	uint64_t beat_ms;    /* CLOCK_MONOTONIC_COARSE of the writer's last word, once a second; 0:
				nobody writes here any more */
	uint64_t heard_ms;   /* the oldest of those below that are of use */
	uint64_t identity;   /* of the settings and of its lock's file; 0: a private table */
	uint64_t lists_begun_ms;   /* CLOCK_MONOTONIC: when a writer last began to list all */
	uint64_t lists_unfinished; /* writers that began since the last publish */
	/* CLOCK_REALTIME_COARSE of the last word from the API server about each part, which is a
	 * namespace that is followed, by number; 0: none. What is beyond them is in the last one.
	 */
	uint64_t parts_heard_ms[TABLE_PARTS];
};

/* What the table says of itself. */
enum table_state {
	TABLE_UNHEARD = 0, /* the API server cannot be heard now: what is here is good to connect
			      to, but newer things may be to come */
	TABLE_LIVE = 1,	   /* the writer's watches are up: this is as new as it gets */
	TABLE_FAILED = 2,  /* nothing was published yet, and the first attempt has failed */
	TABLE_AWAY = 3,	   /* as TABLE_UNHEARD, and asking the API server has failed or is not due:
			      nothing better is to be waited for */
};

/* At offset 0 of each arena. */
struct table_snapshot {
	uint64_t sequence; /* the generation; 0 while the arena is being filled */
	uint64_t size;	   /* bytes in use, this struct included */
	uint32_t service_count;
	uint32_t port_count;
	uint32_t endpoint_count;
	uint32_t text_size;
	uint32_t vip_slots;    /* power of two; 0: none */
	uint32_t name_slots;   /* power of two; 0: none */
	uint64_t services_at;  /* struct table_service[service_count] */
	uint64_t ports_at;     /* struct table_port[port_count] */
	uint64_t endpoints_at; /* struct table_endpoint[endpoint_count]; some belong to no port */
	uint64_t vips_at;      /* struct table_vip_slot[vip_slots], open addressing */
	uint64_t names_at;     /* struct table_name_slot[name_slots], open addressing */
	uint64_t text_at;      /* NUL-terminated strings; the first one is empty */
};

enum {
	TABLE_SERVICE_HEADLESS = 1u, /* has no VIP: names answer with endpoints */
};

struct table_service {
	uint32_t namespace_at; /* in the text */
	uint32_t name_at;
	uint32_t first_port; /* its ports are one run */
	uint32_t port_count;
	struct ip_address vips[2]; /* the primary one first; all zero: none */
	uint32_t flags;
	uint32_t part; /* of parts_heard_ms */
};

enum {
	TABLE_PORT_ONE_ATTEMPT = 1u, /* no connection to it is failed over */
};

/* One port of a Service in one address family. */
struct table_port {
	uint32_t service;
	uint32_t first_endpoint; /* the usable ones are one run, sorted by address and port */
	uint32_t endpoint_count;
	uint16_t port;		     /* of the Service; 0: a headless one's addresses, all of them.
					Its other ports have no endpoints here */
	uint8_t protocol;	     /* IANA number */
	uint8_t family;		     /* enum ip_family */
	uint32_t name_at;	     /* port name in the text */
	uint32_t affinity_timeout_s; /* sessionAffinity ClientIP; 0: None */
	uint32_t part;		     /* its Service's */
	uint32_t flags;		     /* 0 where an older version wrote it */
};

struct table_endpoint {
	struct ip_address address;
	uint64_t uid_hash; /* of the pod; 0: unknown */
	uint16_t port;
	uint8_t reserved[2];
	uint32_t hostname_at; /* in the text: what a headless Service's pod is called; 0: none */
};

/* Key: (vip, port, protocol). */
struct table_vip_slot {
	struct ip_address vip;
	uint32_t port_index_plus_1; /* 0: free */
	uint32_t key;		    /* table_vip_key() of port and protocol */
};

/* Key: (namespace, name), compared through the service's strings. */
struct table_name_slot {
	uint32_t hash_high;	       /* of the key, to skip most string compares */
	uint32_t service_index_plus_1; /* 0: free */
};

_Static_assert(sizeof(struct table_header) <= TABLE_HEADER_SIZE, "one page");
_Static_assert(sizeof(struct table_snapshot) % 8 == 0, "copied word by word");
_Static_assert(sizeof(struct table_service) == 56, "layout version 4");
_Static_assert(sizeof(struct table_port) == 32, "layout version 4");
_Static_assert(sizeof(struct table_endpoint) == 32, "layout version 4");
_Static_assert(sizeof(struct table_vip_slot) == 24, "layout version 4");
_Static_assert(sizeof(struct table_name_slot) == 8, "layout version 4");

#endif
