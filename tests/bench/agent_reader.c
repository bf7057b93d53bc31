// SPDX-License-Identifier: Apache-2.0
/*
 * What a program sees in an agent's table.
 *
 *	agent_reader PATH VIP PORT
 *
 * Looks the VIP up every PAUSE_US and prints a line whenever its first endpoint is another one:
 * {"ns": CLOCK_MONOTONIC right after that lookup, "ip": ADDRESS}. At the end of its standard input
 * one more: {"lookups": .., "failed": .., "p50": .., "p99": .., "max": .., "cpu_max": ..}, the last
 * four in ns, cpu_max in the time that the thread itself ran.
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>

#include "base/address.h"
#include "bench.h"
#include "pick/pick.h"
#include "table/handover.h"
#include "table/trust.h"

#define PAUSE_US    100
#define MAX_SAMPLES (1u << 20)
#define ATTACH_MS   1000

static uint64_t samples[MAX_SAMPLES];

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct handover_table *attach(const char *path)
{
	struct handover_table *table;
	int rc = handover_receive(path, TRUST_NO_USER, ATTACH_MS, NULL, &table);

	if (rc < 0)
		bench_die("%s: %s", path, strerror(-rc));
	return table;
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = PAUSE_US * 1000};
	struct pollfd input = {.fd = 0, .events = POLLIN};
	static struct pick_memory memory;
	const struct pick_state state = {.memory = &memory, .rules = HEALTH_DEFAULTS};
	struct handover_table *table;
	struct sockaddr_in address;
	struct ip_address vip;
	uint16_t port;
	struct ip_address last = {.bytes = {0}};
	uint64_t cpu_max = 0;
	unsigned failed = 0;
	unsigned count = 0;

	if (argc != 4)
		bench_die("usage: agent_reader PATH VIP PORT");
	address = bench_address(argv[2], (unsigned)atoi(argv[3]));
	sockaddr_read((struct sockaddr *)&address, sizeof(address), &vip, &port);
	table = attach(argv[1]);
	prctl(PR_SET_TIMERSLACK, 1); /* the default of 50 us would be half of the pause */
	while (ppoll(&input, 1, &pause, NULL) == 0) {
		struct picked picked;
		uint64_t cpu = cpu_ns();
		uint64_t start = bench_now_ns();
		bool found = pick_by_vip(&table->view, &state, &vip, port, IPPROTO_TCP, &picked) ==
			     PICK_ENDPOINT;
		uint64_t end = bench_now_ns();

		cpu = cpu_ns() - cpu;
		if (cpu > cpu_max)
			cpu_max = cpu;
		if (count < MAX_SAMPLES)
			samples[count++] = end - start;
		failed += !found;
		if (found && !ip_equal(&picked.endpoint.address, &last)) {
			const uint8_t *ip = &picked.endpoint.address.bytes[12];

			printf("{\"ns\": %llu, \"ip\": \"%u.%u.%u.%u\"}\n", (unsigned long long)end,
			       ip[0], ip[1], ip[2], ip[3]);
			fflush(stdout);
			last = picked.endpoint.address;
		}
		if (table_has_moved(&table->view))
			table = attach(argv[1]);
	}
	bench_sort(samples, count);
	printf("{\"lookups\": %u, \"failed\": %u, \"p50\": %llu, \"p99\": %llu, \"max\": %llu, "
	       "\"cpu_max\": %llu}\n",
	       count, failed, (unsigned long long)bench_percentile(samples, count, 50),
	       (unsigned long long)bench_percentile(samples, count, 99),
	       (unsigned long long)samples[count - 1], (unsigned long long)cpu_max);
	return 0;
}
