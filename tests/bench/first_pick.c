// SPDX-License-Identifier: Apache-2.0
/*
 * When connections begin to go to another endpoint.
 *
 *	first_pick VIP PORT		preload stub_calls.so
 *
 * Connects every PAUSE_US and prints a line whenever that leads to another address than before:
 * {"ns": CLOCK_MONOTONIC right after that connect(), "ip": ADDRESS}. Ends with its standard input.
 */
#include <dlfcn.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "bench.h"
#include "preload/stub_calls.h"

#define PAUSE_US 100

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = PAUSE_US * 1000};
	struct pollfd input = {.fd = 0, .events = POLLIN};
	_Atomic uint32_t *connected_to = dlsym(RTLD_DEFAULT, "bench_connected_to");
	struct sockaddr_in vip;
	uint32_t last;

	if (argc != 3 || !connected_to)
		bench_die("usage: LD_PRELOAD=stub_calls.so first_pick VIP PORT");
	vip = bench_address(argv[1], (unsigned)atoi(argv[2]));
	last = vip.sin_addr.s_addr;
	prctl(PR_SET_TIMERSLACK, 1); /* the default of 50 us would be half of the pause */
	while (ppoll(&input, 1, &pause, NULL) == 0) {
		struct in_addr now;

		connect(BENCH_STUB_FD, (struct sockaddr *)&vip, sizeof(vip));
		now.s_addr = atomic_load(connected_to);
		if (now.s_addr != last) {
			printf("{\"ns\": %llu, \"ip\": \"%s\"}\n",
			       (unsigned long long)bench_now_ns(), inet_ntoa(now));
			fflush(stdout);
			last = now.s_addr;
		}
	}
	return 0;
}
