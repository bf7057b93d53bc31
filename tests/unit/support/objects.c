// SPDX-License-Identifier: Apache-2.0
#include "support/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

#define TEXTS	  64
#define TEXT_SIZE 8192

static char texts[TEXTS][TEXT_SIZE];
static unsigned next_text;

__attribute__((format(printf, 1, 2))) static const char *make_text(const char *format, ...)
{
	char *text = texts[next_text++ % TEXTS];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, TEXT_SIZE, format, args);
	va_end(args);
	assert_in_range(length, 0, TEXT_SIZE - 1);
	return text;
}

/* Writes @before, ip, @after for each of the addresses. */
static const char *each_ip(const char *ips, const char *before, const char *after)
{
	char copy[1024];
	char *state = NULL;
	char *text = texts[next_text++ % TEXTS];
	size_t length = 0;

	text[0] = '\0';
	snprintf(copy, sizeof(copy), "%s", ips);
	for (char *ip = strtok_r(copy, " ", &state); ip; ip = strtok_r(NULL, " ", &state)) {
		length += (size_t)snprintf(text + length, TEXT_SIZE - length, "%s%s%s%s",
					   length ? "," : "", before, ip, after);
		assert_in_range(length, 1, TEXT_SIZE - 1);
	}
	return text;
}

const char *text_slice(const char *name, const char *service, const char *version, const char *ips)
{
	return make_text(
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"demo\",\"resourceVersion\":"
		"\"%s\",\"labels\":{\"kubernetes.io/service-name\":\"%s\"}},"
		"\"addressType\":\"IPv4\",\"endpoints\":[%s],"
		"\"ports\":[{\"name\":\"\",\"protocol\":\"TCP\",\"port\":8080}]}",
		name, version, service,
		each_ip(ips, "{\"addresses\":[\"", "\"],\"conditions\":{\"ready\":true}}"));
}

const char *text_service(const char *name, const char *version, const char *vip)
{
	return make_text(
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"demo\",\"resourceVersion\":"
		"\"%s\"},\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"%s\","
		"\"clusterIPs\":[\"%s\"],\"ports\":[{\"protocol\":\"TCP\",\"port\":80}]}}",
		name, version, vip, vip);
}

const char *text_endpoints(const char *name, const char *version, const char *ips)
{
	return make_text(
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"demo\",\"resourceVersion\":"
		"\"%s\"},\"subsets\":[{\"addresses\":[%s],"
		"\"ports\":[{\"port\":8080,\"protocol\":\"TCP\"}]}]}",
		name, version, each_ip(ips, "{\"ip\":\"", "\"}"));
}

const char *text_event(const char *type, const char *object)
{
	return make_text("{\"type\":\"%s\",\"object\":%s}\n", type, object);
}

const char *text_bookmark(const char *version)
{
	return make_text(
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"%s\"}}"
		"}\n",
		version);
}

const char *text_list(const char *kind, const char *version, const char *next, const char *items)
{
	return make_text("{\"kind\":\"%s\",\"metadata\":{\"resourceVersion\":\"%s\"%s%s%s},"
			 "\"items\":[%s]}",
			 kind, version, next ? ",\"continue\":\"" : "", next ? next : "",
			 next ? "\"" : "", items);
}

const char *text_join(const char *item, const char *other)
{
	return make_text("%s,%s", item, other);
}

const char *text_error(int code, const char *reason, const char *message)
{
	return make_text("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
			 "\"status\":\"Failure\",\"message\":\"%s\",\"reason\":\"%s\",\"code\":%d}",
			 message, reason, code);
}

const char *text_too_large(void)
{
	return "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
	       "\"message\":\"Too large resource version: 900, current: "
	       "100\",\"reason\":\"Timeout\","
	       "\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\",\"message\":"
	       "\"Too large resource version\"}],\"retryAfterSeconds\":1},\"code\":504}";
}

struct ip_address ip_of(const char *text)
{
	struct ip_address ip;

	assert_int_equal(ip_parse(text, &ip), 0);
	return ip;
}

struct ip_address ip_plus(struct ip_address ip, uint32_t number)
{
	uint32_t low;

	memcpy(&low, ip.bytes + 12, sizeof(low));
	low = htonl(ntohl(low) + number);
	memcpy(ip.bytes + 12, &low, sizeof(low));
	return ip;
}

static const struct slice_endpoint ready_endpoint = {
	.ready = true,
	.serving = true,
	.hostname = "",
	.node_name = "",
	.zone = "",
	.target_namespace = "",
	.target_name = "",
};

void test_slice_init(struct test_slice *slice)
{
	memset(slice, 0, sizeof(*slice));
	strcpy(slice->slice.service_name, "web");
	slice->slice.family = IP_FAMILY_4;
	slice->slice.ports = slice->ports;
	slice->slice.endpoints = slice->endpoints;
}

void test_slice_port(struct test_slice *slice, const char *name, enum protocol protocol,
		     uint16_t port)
{
	struct slice_port *added = &slice->ports[slice->slice.port_count];

	assert_in_range(slice->slice.port_count++, 0, TEST_SLICE_PORTS - 1);
	snprintf(added->name, sizeof(added->name), "%s", name);
	added->protocol = protocol;
	added->port = port;
}

struct slice_endpoint *test_slice_endpoint(struct test_slice *slice, const char *ip)
{
	struct slice_endpoint *added = &slice->endpoints[slice->slice.endpoint_count];

	assert_in_range(slice->slice.endpoint_count++, 0, TEST_SLICE_ENDPOINTS - 1);
	*added = ready_endpoint;
	added->address = ip_of(ip);
	return added;
}

void test_service_init(struct test_service *service, const char *vip)
{
	memset(service, 0, sizeof(*service));
	strcpy(service->service.namespace, "demo");
	strcpy(service->service.name, "web");
	service->service.ports = service->ports;
	service->service.headless = vip == NULL;
	if (vip)
		service->service.cluster_ips[service->service.cluster_ip_count++] = ip_of(vip);
}

void test_service_port(struct test_service *service, const char *name, enum protocol protocol,
		       uint16_t port)
{
	struct service_port *added = &service->ports[service->service.port_count];

	assert_in_range(service->service.port_count++, 0, TEST_SLICE_PORTS - 1);
	snprintf(added->name, sizeof(added->name), "%s", name);
	added->protocol = protocol;
	added->port = port;
}

void test_selection(struct selection *selection, const char *vip, uint16_t port,
		    const char *first_ip, unsigned count, uint16_t endpoint_port)
{
	struct ip_address first = ip_of(first_ip);
	struct selected_port *selected;

	memset(selection, 0, sizeof(*selection));
	selection->headless = vip == NULL;
	selection->ports = calloc(1, sizeof(selection->ports[0]));
	assert_non_null(selection->ports);
	selection->port_count = 1;
	selected = &selection->ports[0];
	selected->port = port;
	selected->protocol = PROTOCOL_TCP;
	selected->family = ip_family_of(&first);
	selected->addresses = vip == NULL;
	if (vip) {
		selected->has_vip = true;
		selected->vip = ip_of(vip);
		selection->vips[selection->vip_count++] = selected->vip;
	}
	selected->endpoints = calloc(count ? count : 1, sizeof(selected->endpoints[0]));
	assert_non_null(selected->endpoints);
	for (unsigned i = 0; i < count; i++) {
		selected->endpoints[i] = (struct selected_endpoint){
			.address = ip_plus(first, i),
			.port = endpoint_port,
			.endpoint = &ready_endpoint,
			.used = true,
		};
	}
	selected->endpoint_count = count;
	selected->used_count = count;
}

#define BRIEF_PART 10

unsigned test_count(unsigned quick, unsigned full)
{
	const char *counts = getenv("K8SLB_TEST_COUNTS");

	if (counts && strcmp(counts, "full") == 0)
		return full;
	if (counts && strcmp(counts, "brief") == 0)
		return quick < BRIEF_PART ? 1 : quick / BRIEF_PART;
	return quick;
}

uint32_t test_random(uint64_t *state)
{
	return (uint32_t)hash_mix(++*state);
}
