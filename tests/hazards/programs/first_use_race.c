// SPDX-License-Identifier: Apache-2.0
/*
 * first_use_race VIP PORT THREADS [fork]: so many threads wait at a barrier and then make the first
 * connection of the process, all at once; with "fork" of a child that looks like one that began so.
 * Prints "race POD" for each, "pid N" of the process that has them, and "end"; then it stays until
 * it is killed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dial.h"

#define STACK_SIZE (64 * 1024)

static struct sockaddr_in vip;
static pthread_barrier_t barrier;

static void *race(void *unused)
{
	pthread_barrier_wait(&barrier);
	dial_and_tell("race", &vip);
	return unused;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
	pthread_t *threads = calloc(count, sizeof(*threads));
	pthread_attr_t attributes;

	if (count == 0 || !threads)
		return 2;
	if (argc > 4 && strcmp(argv[4], "fork") == 0) {
		pid_t child = fork();

		if (child > 0) {
			waitpid(child, NULL, 0);
			return 0;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	vip = dial_address(argv[1], argv[2]);
	pthread_barrier_init(&barrier, NULL, count);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	for (unsigned i = 0; i < count; i++) {
		if (pthread_create(&threads[i], &attributes, race, NULL))
			return 3;
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	printf("pid %d\nend\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
