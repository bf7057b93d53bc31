// SPDX-License-Identifier: Apache-2.0
/*
 * New connections, one after another: connect, a byte there, a byte back, close.
 *
 *	connections PORT IP... [--thread]	commands: wait, COUNT
 *
 * "--thread": with a second thread, which sleeps. "wait" connects until the first answer. COUNT makes that many connections, to the addresses in
 *turn, and answers with the time of one, how many failed, and how many each listener answered. The
 *close is a reset, so that no port stays in TIME_WAIT.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define MAX_COUNT  100000
#define WAIT_TRIES 3000

#define MAX_TARGETS 3

static struct sockaddr_in targets[MAX_TARGETS];
static unsigned target_count;
static unsigned next_target;

/* Returns what the listener answered, its letter, or 0. */
static char one_connection(void)
{
	const struct linger reset = {.l_onoff = 1};
	const struct sockaddr_in *target = &targets[next_target++ % target_count];
	char answer = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)target, sizeof(*target)) < 0 ||
	    send(fd, "?", 1, MSG_NOSIGNAL) != 1 || recv(fd, &answer, 1, 0) != 1)
		answer = 0;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	return answer;
}

static void wait_for_answer(void)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

	for (int tries = 0; tries < WAIT_TRIES; tries++) {
		if (one_connection()) {
			puts("{}");
			return;
		}
		nanosleep(&pause, NULL);
	}
	bench_die("nobody answers");
}

static void run(unsigned count)
{
	uint64_t *samples = calloc(count, sizeof(samples[0]));
	unsigned answers[3] = {0};
	unsigned errors = 0;

	if (!samples)
		bench_die("out of memory");
	for (unsigned i = 0; i < count; i++) {
		uint64_t start = bench_now_ns();
		char answer = one_connection();

		samples[i] = bench_now_ns() - start;
		if (answer >= 'a' && answer <= 'c')
			answers[answer - 'a']++;
		else
			errors++;
	}
	printf("{");
	bench_print_percentiles("ns", samples, count);
	printf(", \"errors\": %u, \"answers\": [%u, %u, %u]}\n", errors, answers[0], answers[1],
	       answers[2]);
	free(samples);
}

static void *idle(void *unused)
{
	pause();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[64];

	if (argc > 1 && strcmp(argv[argc - 1], "--thread") == 0) {
		argc--;
		if (pthread_create(&thread, NULL, idle, NULL))
			bench_die("no second thread");
	}
	target_count = (unsigned)argc - 2;
	if (argc < 3 || target_count > MAX_TARGETS)
		bench_die("usage: connections PORT IP...");
	for (unsigned i = 0; i < target_count; i++)
		targets[i] = bench_address(argv[i + 2], (unsigned)atoi(argv[1]));
	while (bench_command(line, sizeof(line))) {
		int count = atoi(line);

		if (strcmp(line, "wait") == 0) {
			wait_for_answer();
			/* After the engine's thread was started, which would inherit it. */
			bench_pin(0);
		} else if (count > 0 && count <= MAX_COUNT) {
			run((unsigned)count);
		} else {
			bench_die("unknown command \"%s\"", line);
		}
	}
	return 0;
}
