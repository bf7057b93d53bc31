/* Short ways to write the objects of tests: as JSON text, and as structs. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_OBJECTS_H
#define K8SLB_TESTS_OBJECTS_H

#include "base/object.h"
#include "select/select.h"

/*
 * JSON. All texts are in namespace "demo" and live until 64 more of them were made.
 * @ips: ready endpoints, separated by spaces; "" none.
 */
const char *text_slice(const char *name, const char *service, const char *version, const char *ips);
/* One TCP port 80 without name; "None" as @vip: headless. */
const char *text_service(const char *name, const char *version, const char *vip);
const char *text_endpoints(const char *name, const char *version, const char *ips);
const char *text_event(const char *type, const char *object);
const char *text_bookmark(const char *version);
/* @kind: "EndpointSliceList"; @next: the continue token or NULL; @items: joined with commas. */
const char *text_list(const char *kind, const char *version, const char *next, const char *items);
const char *text_join(const char *item, const char *other);
const char *text_error(int code, const char *reason, const char *message);
/* 504 with the cause ResourceVersionTooLarge. */
const char *text_too_large(void);

struct ip_address ip_of(const char *text);

/* Structs, for stages that only read: nothing in them is allocated. */
#define TEST_SLICE_PORTS     4
#define TEST_SLICE_ENDPOINTS 64

struct test_slice {
	struct endpoint_slice slice;
	struct slice_port ports[TEST_SLICE_PORTS];
	struct slice_endpoint endpoints[TEST_SLICE_ENDPOINTS];
};

/* IPv4, of Service "web", without ports and endpoints. */
void test_slice_init(struct test_slice *slice);
void test_slice_port(struct test_slice *slice, const char *name, enum protocol protocol,
		     uint16_t port);
/* Ready and serving; the caller changes what it wants. */
struct slice_endpoint *test_slice_endpoint(struct test_slice *slice, const char *ip);

struct test_service {
	struct service service;
	struct service_port ports[TEST_SLICE_PORTS];
};

/* Service demo/web with @vip; NULL: headless. No ports. */
void test_service_init(struct test_service *service, const char *vip);
void test_service_port(struct test_service *service, const char *name, enum protocol protocol,
		       uint16_t port);

/*
 * A selection as select would give it: one TCP port @port at @vip (NULL: headless), with @count
 * used endpoints first_ip, first_ip + 1, .. and port @endpoint_port. Free by selection_clear().
 */
void test_selection(struct selection *selection, const char *vip, uint16_t port,
		    const char *first_ip, unsigned count, uint16_t endpoint_port);

/* @ip + @number, counted in its last four bytes. */
struct ip_address ip_plus(struct ip_address ip, uint32_t number);

/* How often something is repeated: K8SLB_TEST_COUNTS is "full", "brief" (a tenth of the quick ones), or
 * else they are the quick ones. */
unsigned test_count(unsigned quick, unsigned full);

/* A generator with a seed, the same on every machine. */
uint32_t test_random(uint64_t *state);

#endif
