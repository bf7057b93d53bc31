// SPDX-License-Identifier: Apache-2.0
/*
 * The soonest that any client can hear of a change: a watch, read and not looked into.
 *
 *	plain_watch PORT PATH [MARK]	of an API server on 127.0.0.1
 *
 * Prints {} when the watch is open, then {"ns": CLOCK_MONOTONIC} for each event, where they come
 * one by one; with MARK for each time that this text comes, however many do.
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

/* Prints a line for each @mark in what came. Returns how many bytes at the end may be the beginning
 * of one; they are moved to the front. */
static size_t find_marks(char *text, size_t length, const char *mark, uint64_t now)
{
	size_t size = strlen(mark);
	size_t kept = size - 1 < length ? size - 1 : length;

	for (const char *at = text; (at = memmem(at, (size_t)(text + length - at), mark, size));
	     at += size)
		printf("{\"ns\": %llu}\n", (unsigned long long)now);
	memmove(text, text + length - kept, kept);
	return kept;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server;
	char text[65536];
	const char *mark = argc == 4 ? argv[3] : NULL;
	size_t kept = 0;
	bool open = false;
	int fd;

	if (argc != 3 && argc != 4)
		bench_die("usage: plain_watch PORT PATH [MARK]");
	/* It sits in recv() and does not see the end of its input. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	server = bench_address("127.0.0.1", (unsigned)atoi(argv[1]));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		bench_die("connect: %m");
	dprintf(fd, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n",
		argv[2]);
	for (;;) {
		ssize_t size = recv(fd, text + kept, sizeof(text) - kept, 0);
		uint64_t now = bench_now_ns();

		if (size <= 0)
			return 0;
		if (!open)
			puts("{}");
		else if (mark)
			kept = find_marks(text, kept + (size_t)size, mark, now);
		/* An event ends with its line. */
		else if (memmem(text, (size_t)size, "}\n", 2))
			printf("{\"ns\": %llu}\n", (unsigned long long)now);
		open = true;
		fflush(stdout);
	}
}
