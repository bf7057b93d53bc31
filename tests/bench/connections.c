// SPDX-License-Identifier: Apache-2.0
/*
 * New connections, one after another: connect, a byte there, a byte back, close.
 *
 *	connections PORT IP... [--thread | --threads | --once | --once-non-blocking]	commands: wait, COUNT
 *
 * "--thread": with a second thread, which sleeps. "wait" connects until the first answer. COUNT
 * makes that many connections, to the addresses in turn, and answers with the time of one, how many
 * failed, and how many each listener answered. The close is a reset, so that no port stays in
 * TIME_WAIT. "--threads": 16 threads do that at once, on all processors; "each" is the time from
 * the first to the last one's end, for each connection. "--once": one connection and no command;
 * "--once-non-blocking": it is made so after socket() and waits in poll(), as curl's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define MAX_COUNT  100000
#define WAIT_TRIES 3000

#define MAX_TARGETS 3
#define THREADS	    16

static struct sockaddr_in targets[MAX_TARGETS];
static unsigned target_count;
static __thread unsigned next_target;

static bool is_non_blocking;

static bool connects(int fd, const struct sockaddr_in *target)
{
	struct pollfd look = {.fd = fd, .events = POLLOUT};
	int error = -1;
	socklen_t size = sizeof(error);

	if (!is_non_blocking)
		return connect(fd, (const struct sockaddr *)target, sizeof(*target)) == 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, (const struct sockaddr *)target, sizeof(*target)) < 0 &&
	    (errno != EINPROGRESS || poll(&look, 1, -1) != 1 ||
	     getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error))
		return false;
	fcntl(fd, F_SETFL, 0);
	return true;
}

/* Returns what the listener answered, its letter, or 0. */
static char one_connection(void)
{
	const struct linger reset = {.l_onoff = 1};
	const struct sockaddr_in *target = &targets[next_target++ % target_count];
	char answer = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!connects(fd, target) || send(fd, "?", 1, MSG_NOSIGNAL) != 1 || recv(fd, &answer, 1, 0) != 1)
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

/* What one thread does, and what came of it. */
struct share {
	unsigned count;
	uint64_t *samples;
	unsigned answers[3];
	unsigned errors;
};

static void *do_share(void *argument)
{
	struct share *share = argument;

	for (unsigned i = 0; i < share->count; i++) {
		uint64_t start = bench_now_ns();
		char answer = one_connection();

		share->samples[i] = bench_now_ns() - start;
		if (answer >= 'a' && answer <= 'c')
			share->answers[answer - 'a']++;
		else
			share->errors++;
	}
	return NULL;
}

static void run(unsigned threads, unsigned count)
{
	uint64_t *samples = calloc((size_t)threads * count, sizeof(samples[0]));
	struct share shares[THREADS] = {{0}};
	struct share sum = {0};
	pthread_t others[THREADS];
	uint64_t start = bench_now_ns();

	if (!samples)
		bench_die("out of memory");
	for (unsigned i = 0; i < threads; i++) {
		shares[i].count = count;
		shares[i].samples = samples + (size_t)i * count;
		if (threads == 1)
			do_share(&shares[0]);
		else if (pthread_create(&others[i], NULL, do_share, &shares[i]))
			bench_die("no thread");
	}
	for (unsigned i = 0; i < threads; i++) {
		if (threads > 1)
			pthread_join(others[i], NULL);
		sum.errors += shares[i].errors;
		for (unsigned a = 0; a < 3; a++)
			sum.answers[a] += shares[i].answers[a];
	}
	printf("{\"each\": %.0f, ", (double)(bench_now_ns() - start) / threads / count);
	bench_print_percentiles("ns", samples, threads * count);
	printf(", \"errors\": %u, \"answers\": [%u, %u, %u]}\n", sum.errors, sum.answers[0],
	       sum.answers[1], sum.answers[2]);
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
	unsigned threads = 1;
	bool once = false;
	char line[64];

	is_non_blocking = argc > 1 && strcmp(argv[argc - 1], "--once-non-blocking") == 0;
	if (is_non_blocking || (argc > 1 && strcmp(argv[argc - 1], "--once") == 0)) {
		argc--;
		once = true;
	} else if (argc > 1 && strcmp(argv[argc - 1], "--threads") == 0) {
		argc--;
		threads = THREADS;
	} else if (argc > 1 && strcmp(argv[argc - 1], "--thread") == 0) {
		argc--;
		if (pthread_create(&thread, NULL, idle, NULL))
			bench_die("no second thread");
	}
	target_count = (unsigned)argc - 2;
	if (argc < 3 || target_count > MAX_TARGETS)
		bench_die("usage: connections PORT IP...");
	for (unsigned i = 0; i < target_count; i++)
		targets[i] = bench_address(argv[i + 2], (unsigned)atoi(argv[1]));
	if (once)
		return one_connection() ? 0 : 1;
	while (bench_command(line, sizeof(line))) {
		int count = atoi(line);

		if (strcmp(line, "wait") == 0) {
			wait_for_answer();
			/* After the engine's thread was started, which would inherit it. */
			if (threads == 1)
				bench_pin(0);
		} else if (count > 0 && count <= MAX_COUNT) {
			run(threads, (unsigned)count);
		} else {
			bench_die("unknown command \"%s\"", line);
		}
	}
	return 0;
}
