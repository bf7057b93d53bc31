// SPDX-License-Identifier: Apache-2.0
/*
 * environment_storm VIP PORT HOW SECONDS: what programs do to their environment, and connections at
 * the same time. null, clear   environ = NULL or clearenv() before the first connection storm two
 * threads set and remove variables all the time, so that the array moves and old ones are freed
 *   strings       the strings themselves are overwritten, as programs do that set their title
 * Prints "main POD" for each connection, three at least.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dial.h"

extern char **environ;

static bool ended;

static void *storm(void *prefix)
{
	char name[64];

	for (unsigned i = 0; !__atomic_load_n(&ended, __ATOMIC_RELAXED); i++) {
		snprintf(name, sizeof(name), "%s_%u", (char *)prefix, i % 200);
		if (i % 400 < 200)
			setenv(name, "http://127.0.0.1:1/", 1);
		else
			unsetenv(name);
	}
	return prefix;
}

static void overwrite_strings(void)
{
	for (char **variable = environ; variable && *variable; variable++)
		memset(*variable, 'x', strlen(*variable));
}

int main(int argc, char **argv)
{
	/* Both are asked for by curl in a process that lets it. */
	static char prefixes[2][16] = {"https_proxy", "TZ"};
	struct timespec end;
	struct timespec now;
	pthread_t threads[2];
	struct sockaddr_in vip;
	bool storming;

	if (argc < 5)
		return 2;
	vip = dial_address(argv[1], argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += atoi(argv[4]);
	storming = strcmp(argv[3], "storm") == 0;
	if (strcmp(argv[3], "null") == 0)
		environ = NULL;
	else if (strcmp(argv[3], "clear") == 0)
		clearenv();
	else if (strcmp(argv[3], "strings") == 0)
		overwrite_strings();
	for (unsigned i = 0; storming && i < 2; i++)
		pthread_create(&threads[i], NULL, storm, prefixes[i]);
	do {
		for (unsigned i = 0; i < 3; i++)
			dial_and_tell("main", &vip);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	__atomic_store_n(&ended, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; storming && i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
