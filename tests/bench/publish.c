// SPDX-License-Identifier: Apache-2.0
/*
 * One Service changes: the time to put it and to publish, and the size of the table.
 *
 *	publish SERVICES ENDPOINTS	endpoints of each Service
 */
#include <malloc.h>

#include "bench_table.h"

#define CHANGES 300
#define WARM_UP 6 /* every arena was written twice: all its pages are there */

int main(int argc, char **argv)
{
	static uint64_t put_ns[CHANGES];
	static uint64_t publish_ns[CHANGES];
	struct table_writer_size size;
	struct table_writer *writer;
	unsigned services, endpoints;
	size_t heap_before;

	if (argc != 3)
		bench_die("usage: publish SERVICES ENDPOINTS");
	services = (unsigned)atoi(argv[1]);
	endpoints = (unsigned)atoi(argv[2]);
	bench_pin(0);
	heap_before = mallinfo2().uordblks;
	writer = bench_table_new(services, endpoints);
	for (unsigned i = 0; i < WARM_UP + CHANGES; i++) {
		unsigned at = i < WARM_UP ? 0 : i - WARM_UP;
		uint64_t start = bench_now_ns();
		uint64_t put;

		bench_put(writer, (i * 7919u) % services, endpoints, (uint16_t)(9000 + i));
		put = bench_now_ns();
		if (table_writer_publish(writer) < 0)
			bench_die("table_writer_publish failed");
		publish_ns[at] = bench_now_ns() - put;
		put_ns[at] = put - start;
	}
	size = table_writer_size(writer);
	printf("{\"endpoints\": %u, \"table_bytes\": %llu, \"heap_bytes\": %zu, ", size.endpoints,
	       (unsigned long long)size.bytes, mallinfo2().uordblks - heap_before);
	bench_print_percentiles("put_ns", put_ns, CHANGES);
	printf(", ");
	bench_print_percentiles("publish_ns", publish_ns, CHANGES);
	printf("}\n");
	table_writer_free(writer);
	return 0;
}
