// SPDX-License-Identifier: Apache-2.0
/*
 * cancelled VIP PORT WHEN HOW THREADS: cancels threads that are about to connect or in the middle
 * of it, then shows that the others go on.
 *
 * WHEN: first (nothing has connected yet: they wait for the first table), later.
 * HOW: deferred, async, pending (the thread cancels itself before it connects).
 *
 * Prints how many threads were cancelled, how many milliseconds the slowest join took, how many
 * descriptors are left over those that the threads themselves held, the answers to nine connections
 * of the main thread, and whether it shares memory with other programs ("shared") or not ("alone").
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define QUESTIONS   9

static struct sockaddr_in vip;
static const char *how;
static atomic_int ready;
static int sockets[THREADS_MAX];

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = -3; /* ".", ".." and the directory's own */

	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

/* A segment of shared memory is mapped: what the programs of one user share. */
static bool shares_memory(void)
{
	char line[4352];
	FILE *maps = fopen("/proc/self/maps", "r");
	bool found = false;

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, "/SYSV") != NULL;
	if (maps)
		fclose(maps);
	return found;
}

/* @own: where the number of the open socket is left, for who comes after the thread's end. */
static void *connect_for_ever(void *own)
{
	volatile int *fd = own;
	char name[64];
	ssize_t got;

	ready++;
	if (strcmp(how, "pending") == 0)
		pthread_cancel(pthread_self());
	for (;;) {
		*fd = socket(AF_INET, SOCK_STREAM, 0);
		/* Asynchronous only around the call itself: no number may get lost. */
		if (strcmp(how, "async") == 0)
			pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		connect(*fd, (struct sockaddr *)&vip, sizeof(vip));
		pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
		/* Or the listeners' queues would be full in no time, and SYNs dropped: then the pod
		 * does not answer, and is avoided for a while. */
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		if (write(*fd, "WHO\n", 4) == 4)
			got = read(*fd, name, sizeof(name));
		(void)got;
		/* It is a cancellation point: a thread that ends in it has closed the number, which
		 * who comes after would close again, as another thread's. */
		close(*fd);
		*fd = -1;
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	}
	return NULL;
}

static void ask(void)
{
	char name[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t got = -1;

	if (connect(fd, (struct sockaddr *)&vip, sizeof(vip)) == 0 && write(fd, "WHO\n", 4) == 4)
		got = read(fd, name, sizeof(name));
	if (got <= 0)
		got = snprintf(name, sizeof(name), "%s\n", strerror(errno));
	printf("%.*s", (int)got, name);
	close(fd);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	int count, before, cancelled = 0;
	long slowest = 0;

	if (argc != 6)
		return 2;
	vip.sin_family = AF_INET;
	vip.sin_port = htons((uint16_t)atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &vip.sin_addr) != 1)
		return 2;
	how = argv[4];
	count = atoi(argv[5]);
	if (count > THREADS_MAX)
		return 2;
	if (strcmp(argv[3], "later") == 0)
		ask();
	before = count_descriptors();
	for (int i = 0; i < count; i++) {
		sockets[i] = -1;
		pthread_create(&threads[i], NULL, connect_for_ever, &sockets[i]);
	}
	while (ready < count)
		poll(NULL, 0, 1);
	poll(NULL, 0, 20); /* they are in connect() by now, or will be cancelled at its begin */
	for (int i = 0; i < count; i++) {
		long begun = now_ms();
		void *result;

		pthread_cancel(threads[i]);
		pthread_join(threads[i], &result);
		if (sockets[i] >= 0)
			close(sockets[i]);
		cancelled += result == PTHREAD_CANCELED;
		if (now_ms() - begun > slowest)
			slowest = now_ms() - begun;
	}
	printf("%d %ld %d\n", cancelled, slowest, count_descriptors() - before);
	for (int i = 0; i < QUESTIONS; i++)
		ask();
	printf("%s\n", shares_memory() ? "shared" : "alone");
	return 0;
}
