/* A table of many Services without an API server, straight from selections. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_BENCH_BENCH_TABLE_H
#define K8SLB_TESTS_BENCH_BENCH_TABLE_H

#include "bench.h"
#include "publish/writer.h"

#define BENCH_TABLE_PORT	  80
#define BENCH_TABLE_MAX_ENDPOINTS 1000

/* 10.96.1.0 + @service. */
static inline struct ip_address bench_vip(unsigned service)
{
	uint32_t address = htonl(0x0a600100u + service);

	return ip_from_v4(&address);
}

/* The Service @service with @count endpoints on @target_port; another port makes it a change. */
static inline void bench_put(struct table_writer *writer, unsigned service, unsigned count,
			     uint16_t target_port)
{
	static const struct slice_endpoint pod = {.ready = true, .target_uid_hash = 1};
	static struct selected_endpoint endpoints[BENCH_TABLE_MAX_ENDPOINTS];
	struct selected_port port = {
		.name = "http",
		.port = BENCH_TABLE_PORT,
		.protocol = PROTOCOL_TCP,
		.family = IP_FAMILY_4,
		.has_vip = true,
		.vip = bench_vip(service),
		.endpoints = endpoints,
		.endpoint_count = count,
		.used_count = count,
	};
	struct selection selection = {
		.vips = {bench_vip(service)},
		.vip_count = 1,
		.ports = &port,
		.port_count = 1,
	};
	char name[DNS_LABEL_SIZE];

	for (unsigned i = 0; i < count; i++) {
		uint32_t address = htonl(0x0b000000u + service * count + i);

		endpoints[i] = (struct selected_endpoint){
			.address = ip_from_v4(&address),
			.port = target_port,
			.endpoint = &pod,
			.used = true,
			.reason = SELECT_READY,
		};
	}
	snprintf(name, sizeof(name), "service-%05u", service);
	if (table_writer_put(writer, "bench", name, &selection) < 0)
		bench_die("table_writer_put: out of memory");
}

/* Services 0 to @services - 1, published. */
static inline struct table_writer *bench_table_new(unsigned services, unsigned endpoints)
{
	struct table_writer *writer;

	if (endpoints > BENCH_TABLE_MAX_ENDPOINTS || table_writer_new(0, &writer) < 0)
		bench_die("no table of this size");
	for (unsigned i = 0; i < services; i++)
		bench_put(writer, i, endpoints, 8080);
	if (table_writer_publish(writer) < 0)
		bench_die("table_writer_publish failed");
	return writer;
}

#endif
