// SPDX-License-Identifier: Apache-2.0
/*
 * A program that does nothing, for its memory to be looked at.
 *
 *	idle [IP PORT]		connects there once first; prints {} and sleeps until its input ends
 */
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

int main(int argc, char **argv)
{
	char byte;

	if (argc == 3) {
		struct sockaddr_in target = bench_address(argv[1], (unsigned)atoi(argv[2]));
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		/* Only so that the shim starts its work: nobody may listen there. */
		(void)connect(fd, (struct sockaddr *)&target, sizeof(target));
		close(fd);
	}
	puts("{}");
	fflush(stdout);
	return read(0, &byte, 1) < 0;
}
