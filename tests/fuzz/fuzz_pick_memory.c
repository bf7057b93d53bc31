/* Fuzzes lib/pick with any content of the pick memory: each pick is one of the Service's endpoints.
 */
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pick/pick.h"
#include "publish/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENDPOINTS_MAX 8u
#define NOW_MS	      1000000u

/* Services 0 to 7 have 1 to 8 endpoints; every second one has session affinity. */
static void put_service(struct table_writer *writer, unsigned number)
{
	static const struct slice_endpoint pod = {.ready = true, .target_uid_hash = 1};
	struct selected_endpoint endpoints[ENDPOINTS_MAX];
	const uint8_t vip[4] = {10, 96, 0, (uint8_t)number};
	struct selected_port port = {
		.name = "",
		.port = 80,
		.protocol = PROTOCOL_TCP,
		.family = IP_FAMILY_4,
		.has_vip = true,
		.vip = ip_from_v4(vip),
		.endpoints = endpoints,
		.endpoint_count = number + 1,
		.used_count = number + 1,
	};
	struct selection selection = {
		.vips = {port.vip},
		.vip_count = 1,
		.ports = &port,
		.port_count = 1,
		.affinity_timeout_s = number % 2 ? 100 : 0,
	};
	const char name[] = {(char)('a' + number), '\0'};

	for (unsigned i = 0; i <= number; i++) {
		const uint8_t ip[4] = {10, 1, (uint8_t)number, (uint8_t)i};

		endpoints[i] = (struct selected_endpoint){
			.address = ip_from_v4(ip),
			.port = 8080,
			.endpoint = &pod,
			.used = true,
		};
	}
	if (table_writer_put(writer, "demo", name, &selection) < 0)
		abort();
}

static const struct table_view *table(void)
{
	static struct table_writer *writer;

	if (!writer) {
		if (table_writer_new(0, &writer) < 0)
			abort();
		for (unsigned i = 0; i < ENDPOINTS_MAX; i++)
			put_service(writer, i);
		if (table_writer_publish(writer) < 0)
			abort();
	}
	return table_writer_view(writer);
}

/* The input from @shift on, over and over: the slots in use are anywhere. */
static void spoil(struct pick_memory *memory, const uint8_t *data, size_t size, size_t shift)
{
	uint8_t *bytes = (uint8_t *)memory;
	size_t filled = size < sizeof(*memory) ? size : sizeof(*memory);

	for (size_t at = 0; at < filled; at++)
		bytes[at] = data[(at + shift) % size];
	while (filled < sizeof(*memory)) {
		size_t more = sizeof(*memory) - filled;

		more = more < filled ? more : filled;
		memcpy(bytes + filled, bytes, more);
		filled += more;
	}
}

/* Byte 0: Service, byte 1: policy and what is reported, byte 2: record of the endpoints in bytes 3
 * to 10; the rest goes everywhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pick_memory memory;
	struct pick_state state = {
		.memory = &memory,
		.client = 1,
		.now_ms = NOW_MS,
		.rules = HEALTH_DEFAULTS,
		.seed = 1,
	};
	struct table_endpoint tried[PICK_TRIED];
	uint8_t vip_bytes[4] = {10, 96, 0, 0};
	struct ip_address vip;
	struct picked picked;
	unsigned service;

	if (size < 11)
		return 0;
	service = data[0] % ENDPOINTS_MAX;
	vip_bytes[3] = (uint8_t)service;
	vip = ip_from_v4(vip_bytes);
	state.policy = data[1] & 1 ? PICK_RANDOM : PICK_ROUND_ROBIN;
	spoil(&memory, data, size, 0);
	for (unsigned i = 0; i <= service; i++) {
		struct table_endpoint endpoint = {.port = 8080, .uid_hash = 1};
		const uint8_t ip[4] = {10, 1, (uint8_t)service, (uint8_t)i};
		uint64_t key;

		endpoint.address = ip_from_v4(ip);
		key = health_key(&endpoint);
		if (data[2] >> i & 1) {
			struct health_slot *set =
				&memory.health.slots[(key & (HEALTH_SLOTS / HEALTH_WAYS - 1)) *
						     HEALTH_WAYS];

			memcpy(&set->word, data + 3, sizeof(set->word));
			set->key = key;
		}
	}
	if (pick_by_vip(table(), &state, &vip, 80, PROTOCOL_TCP, &picked) != PICK_ENDPOINT)
		abort();
	for (unsigned count = 0; count <= service; count++) {
		enum pick_result result;

		if (picked.endpoint.address.bytes[14] != service ||
		    picked.endpoint.address.bytes[15] > service || picked.endpoint.port != 8080)
			abort();
		for (unsigned i = 0; i < count; i++) {
			if (ip_equal(&tried[i].address, &picked.endpoint.address))
				abort();
		}
		tried[count] = picked.endpoint;
		if (data[1] >> 1 & 1)
			pick_failed(&state, &picked.endpoint);
		else
			pick_succeeded(&state, &picked.endpoint);
		if (data[1] >> 2 & 1)
			spoil(&memory, data, size, count + 1);
		result = pick_other(table(), &state, &vip, 80, PROTOCOL_TCP, tried, count + 1,
				    &picked);
		if (result != (count == service ? PICK_EXHAUSTED : PICK_ENDPOINT))
			abort();
	}
	return 0;
}
