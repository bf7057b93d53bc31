// SPDX-License-Identifier: Apache-2.0
/*
 * lookup CALL NAME [ARGUMENT...]: prints what the call answers.
 *   getaddrinfo NAME SERVICE|- FAMILY SOCKTYPE FLAGS|none   (numbers; "none": NULL hints)
 *   gethostbyname NAME, gethostbyname2 NAME FAMILY
 *   gethostbyname_r NAME SIZE, gethostbyname2_r NAME FAMILY SIZE
 * errno is set to 77 before and printed after a success.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int number(char **argv, int index)
{
	return argv[index] ? atoi(argv[index]) : 0;
}

static void print_address(int family, const void *address)
{
	char text[INET6_ADDRSTRLEN];

	printf("%s", inet_ntop(family, address, text, sizeof(text)));
}

static void print_info(const struct addrinfo *info)
{
	if (info->ai_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(void *)info->ai_addr;

		print_address(AF_INET, &in->sin_addr);
		printf(" %u", ntohs(in->sin_port));
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(void *)info->ai_addr;

		print_address(AF_INET6, &in6->sin6_addr);
		printf(" %u", ntohs(in6->sin6_port));
	}
	printf(" type %d%s%s\n", info->ai_socktype, info->ai_canonname ? " name " : "",
	       info->ai_canonname ? info->ai_canonname : "");
}

static int by_addrinfo(char **argv)
{
	const char *service = strcmp(argv[1], "-") == 0 ? NULL : argv[1];
	struct addrinfo hints = {0};
	struct addrinfo *list = NULL;
	int rc;

	hints.ai_family = number(argv, 2);
	hints.ai_socktype = number(argv, 3);
	hints.ai_flags = number(argv, 4);
	errno = 77;
	rc = getaddrinfo(argv[0], service, strcmp(argv[4], "none") == 0 ? NULL : &hints, &list);
	if (rc) {
		printf("error %d\n", rc);
		return 0;
	}
	if (errno != 77)
		printf("errno %d\n", errno);
	for (const struct addrinfo *info = list; info; info = info->ai_next)
		print_info(info);
	freeaddrinfo(list);
	return 0;
}

static void print_host(const struct hostent *host)
{
	if (!host) {
		printf("nothing\n");
		return;
	}
	printf("%s aliases %s", host->h_name, host->h_aliases[0] ? "some" : "none");
	for (char **address = host->h_addr_list; *address; address++) {
		printf(" ");
		print_address(host->h_addrtype, *address);
	}
	printf(" length %d errno %d\n", host->h_length, errno);
}

static void by_name_r(const char *name, int family, size_t size)
{
	/* On the heap at an odd address, with guards that a sanitizer or the check below sees. */
	char *block = malloc(size + 2);
	struct hostent host = {0};
	struct hostent *result = &host;
	int error = 55;
	int rc;

	memset(block, 0x5a, size + 2);
	errno = 77;
	rc = family ? gethostbyname2_r(name, family, &host, block + 1, size, &result, &error)
		    : gethostbyname_r(name, &host, block + 1, size, &result, &error);
	printf("%d h_errno %d guards %s ", rc, error,
	       block[0] == 0x5a && block[size + 1] == 0x5a ? "kept" : "broken");
	print_host(result);
	free(block);
}

int main(int argc, char **argv)
{
	const char *call = argv[1];

	if (argc < 3)
		return 2;
	argv += 2;
	errno = 77;
	if (strcmp(call, "getaddrinfo") == 0)
		return by_addrinfo(argv);
	if (strcmp(call, "gethostbyname") == 0) {
		print_host(gethostbyname(argv[0]));
	} else if (strcmp(call, "gethostbyname2") == 0) {
		struct hostent *host = gethostbyname2(argv[0], number(argv, 1));

		if (!host)
			printf("h_errno %d ", h_errno);
		print_host(host);
	} else if (strcmp(call, "gethostbyname_r") == 0) {
		by_name_r(argv[0], 0, (size_t)number(argv, 1));
	} else if (strcmp(call, "gethostbyname2_r") == 0) {
		by_name_r(argv[0], number(argv, 1), (size_t)number(argv, 2));
	} else {
		return 2;
	}
	return 0;
}
