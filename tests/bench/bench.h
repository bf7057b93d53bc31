/* What the measuring programs share: time, pinning, percentiles, commands on standard input. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_BENCH_BENCH_H
#define K8SLB_TESTS_BENCH_BENCH_H

#include <arpa/inet.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * The driver (bench.py) starts a program once, with or without the shim, and gives it one command a
 * line; the program answers each with one line of JSON and ends when its standard input does. So
 * all variants are up at the same time and a round can run them in any order.
 */

static inline uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void bench_die(const char *format,
									     ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

/* The calling thread only: the engine's thread, started before, keeps all CPUs. A CPU that is not
 * there leaves the thread where it is. */
static inline void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static inline int bench_compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static inline void bench_sort(uint64_t *samples, size_t count)
{
	qsort(samples, count, sizeof(samples[0]), bench_compare);
}

/* Of sorted samples; @percent of 0..100. */
static inline uint64_t bench_percentile(const uint64_t *sorted, size_t count, double percent)
{
	return sorted[(size_t)((double)(count - 1) * percent / 100 + 0.5)];
}

/* {"NAME": {"p10": .., "p50": .., "p90": .., "p99": ..}} without the braces around. Sorts. */
static inline void bench_print_percentiles(const char *name, uint64_t *samples, size_t count)
{
	bench_sort(samples, count);
	printf("\"%s\": {\"p10\": %llu, \"p50\": %llu, \"p90\": %llu, \"p99\": %llu}", name,
	       (unsigned long long)bench_percentile(samples, count, 10),
	       (unsigned long long)bench_percentile(samples, count, 50),
	       (unsigned long long)bench_percentile(samples, count, 90),
	       (unsigned long long)bench_percentile(samples, count, 99));
}

static inline struct sockaddr_in bench_address(const char *ip, unsigned port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, ip, &address.sin_addr) != 1)
		bench_die("\"%s\" is no IPv4 address", ip);
	return address;
}

/* The next command without its newline; NULL at the end of input. */
static inline char *bench_command(char *line, int size)
{
	fflush(stdout);
	if (!fgets(line, size, stdin))
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

#endif
