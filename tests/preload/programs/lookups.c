// SPDX-License-Identifier: Apache-2.0
/*
 * lookups FAMILY FLAGS NAME...: for each name a line with it and its addresses for port 80, or
 * "error". lookups FAMILY FLAGS - NAME: the same name whenever the next of the files /etc/go-0,
 * /etc/go-1... is there.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void look_up(const char *name, const struct addrinfo *hints)
{
	struct addrinfo *list = NULL;
	int rc = getaddrinfo(name, "80", hints, &list);

	printf("%s", name);
	for (const struct addrinfo *info = list; info; info = info->ai_next) {
		char text[INET6_ADDRSTRLEN];
		char port[8];

		getnameinfo(info->ai_addr, info->ai_addrlen, text, sizeof(text), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
		printf(" %s%s%s", text, atoi(port) == 80 ? "" : ":", atoi(port) == 80 ? "" : port);
	}
	printf(rc ? " error\n" : "\n");
	if (list)
		freeaddrinfo(list);
}

/* Waits for the file /etc/go-N each time. */
static void look_up_for_ever(const char *name, const struct addrinfo *hints)
{
	char path[32];

	for (int round = 0;; round++) {
		snprintf(path, sizeof(path), "/etc/go-%d", round);
		while (access(path, F_OK) != 0)
			usleep(5000);
		look_up(name, hints);
		printf("round %d\n", round);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

	if (argc < 3)
		return 2;
	hints.ai_family = atoi(argv[1]);
	hints.ai_flags = atoi(argv[2]);
	if (argc == 5 && strcmp(argv[3], "-") == 0)
		look_up_for_ever(argv[4], &hints);
	for (int i = 3; i < argc; i++)
		look_up(argv[i], &hints);
	return 0;
}
