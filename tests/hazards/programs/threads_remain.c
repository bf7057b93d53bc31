// SPDX-License-Identifier: Apache-2.0
/*
 * threads_remain HOST PORT COUNT WHO: main asks, starts two threads that ask COUNT times each, and
 * ends by pthread_exit(). WHO is the last: "thread", they begin when main is gone; "unasked", the
 * same and main asks nothing; or "main", which joins them, as the examples in textbooks do. With
 * its last thread the process ends with status 0, after what atexit() was told and the flush of its
 * output.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "pods.h"

static struct sockaddr_in vip;
static int count;
static bool main_is_last;

static void at_exit(void)
{
	printf("atexit\n");
}

/* State Z: the first thread has ended and the process has not. */
static bool main_is_gone(void)
{
	char path[64];
	char text[256];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = '\0';
	return strstr(text, ") Z ");
}

static void *ask(void *unused)
{
	while (!main_is_last && !main_is_gone())
		pods_pause_us(1000);
	pods_ask(&vip, "thread", count);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t threads[2];

	if (argc != 5)
		return 2;
	vip = pods_address(argv[1], argv[2]);
	count = atoi(argv[3]);
	main_is_last = strcmp(argv[4], "main") == 0;
	atexit(at_exit);
	if (strcmp(argv[4], "unasked") != 0)
		pods_ask(&vip, "main", 3);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, ask, NULL);
	for (int i = 0; i < 2 && main_is_last; i++)
		pthread_join(threads[i], NULL);
	printf("flushed\n");
	pthread_exit(NULL);
}
