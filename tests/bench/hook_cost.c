// SPDX-License-Identifier: Apache-2.0
/*
 * What the hooks of socket(), connect() and sendto() cost, with libc's own and getsockopt() as
 * stubs.
 *
 *	hook_cost VIP PORT COUNT	the Services are VIP, VIP + 1, ...; preload stub_calls.so
 *
 * Commands: wait (for the table), then same, spread, unmatched, send, two-threads.
 * Answers: nanoseconds a call, of the best and of the median batch.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "preload/stub_calls.h"

#define BATCH	20000
#define BATCHES 25
/* Coprime to all counts of Services, so that the walk meets all of them, and not in the order in
 * which they lie in memory. */
#define STRIDE	  7919
#define UNMATCHED 256
/* The table of 10 000 Services takes the double some seconds. */
#define WAIT_TRIES 3000

static struct sockaddr_in *vips;
static struct sockaddr_in unmatched[UNMATCHED];
static unsigned vip_count;

static void one_connect(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, BENCH_STUB_PROTOCOL);

	connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

static void batch_same(void)
{
	for (int i = 0; i < BATCH; i++)
		one_connect(&vips[0]);
}

static void batch_spread(void)
{
	unsigned at = 0;

	for (int i = 0; i < BATCH; i++) {
		one_connect(&vips[at]);
		at += STRIDE % vip_count;
		if (at >= vip_count)
			at -= vip_count;
	}
}

static void batch_unmatched(void)
{
	for (int i = 0; i < BATCH; i++)
		one_connect(&unmatched[i % UNMATCHED]);
}

/* As a program that sends without MSG_FASTOPEN: most of them do nothing else all day. */
static void batch_send(void)
{
	for (int i = 0; i < BATCH; i++)
		sendto(BENCH_STUB_FD, "x", 1, MSG_NOSIGNAL, NULL, 0);
}

static void measure(void (*batch)(void))
{
	uint64_t samples[BATCHES];

	batch();
	for (int i = 0; i < BATCHES; i++) {
		uint64_t start = bench_now_ns();

		batch();
		samples[i] = bench_now_ns() - start;
	}
	bench_sort(samples, BATCHES);
	printf("{\"best\": %.2f, \"median\": %.2f}\n", (double)samples[0] / BATCH,
	       (double)bench_percentile(samples, BATCHES, 50) / BATCH);
}

static atomic_bool other_stops;

static void *other_thread(void *unused)
{
	bench_pin(1);
	while (!atomic_load(&other_stops))
		batch_same();
	return unused;
}

static void measure_two_threads(void)
{
	pthread_t other;

	atomic_store(&other_stops, false);
	if (pthread_create(&other, NULL, other_thread, NULL))
		bench_die("no second thread");
	measure(batch_same);
	atomic_store(&other_stops, true);
	pthread_join(other, NULL);
}

/* Until the first and the last Service are both translated. */
static void wait_for_table(void)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	_Atomic uint32_t *connected_to = dlsym(RTLD_DEFAULT, "bench_connected_to");

	if (!connected_to)
		bench_die("stub_calls.so is not preloaded");
	for (int tries = 0; tries < WAIT_TRIES; tries++) {
		uint32_t first;

		one_connect(&vips[0]);
		first = atomic_load(connected_to);
		one_connect(&vips[vip_count - 1]);
		if (first != vips[0].sin_addr.s_addr &&
		    atomic_load(connected_to) != vips[vip_count - 1].sin_addr.s_addr) {
			puts("{}");
			return;
		}
		nanosleep(&pause, NULL);
	}
	bench_die("no table");
}

static void run(const char *command)
{
	if (strcmp(command, "wait") == 0)
		wait_for_table();
	else if (strcmp(command, "same") == 0)
		measure(batch_same);
	else if (strcmp(command, "spread") == 0)
		measure(batch_spread);
	else if (strcmp(command, "unmatched") == 0)
		measure(batch_unmatched);
	else if (strcmp(command, "send") == 0)
		measure(batch_send);
	else if (strcmp(command, "two-threads") == 0)
		measure_two_threads();
	else
		bench_die("unknown command \"%s\"", command);
}

int main(int argc, char **argv)
{
	char line[64];
	bool pinned = false;

	if (argc != 4)
		bench_die("usage: hook_cost VIP PORT COUNT");
	vip_count = (unsigned)atoi(argv[3]);
	vips = calloc(vip_count, sizeof(vips[0]));
	if (!vips)
		bench_die("out of memory");
	for (unsigned i = 0; i < vip_count; i++) {
		vips[i] = bench_address(argv[1], (unsigned)atoi(argv[2]));
		vips[i].sin_addr.s_addr = htonl(ntohl(vips[i].sin_addr.s_addr) + i);
	}
	for (unsigned i = 0; i < UNMATCHED; i++) {
		unmatched[i] = bench_address("10.200.0.1", (unsigned)atoi(argv[2]));
		unmatched[i].sin_addr.s_addr = htonl(ntohl(unmatched[i].sin_addr.s_addr) + i);
	}
	while (bench_command(line, sizeof(line))) {
		if (strcmp(line, "wait") != 0 && !pinned) {
			/* After the engine's thread was started, which would inherit it. */
			bench_pin(0);
			pinned = true;
		}
		run(line);
	}
	free(vips);
	return 0;
}
