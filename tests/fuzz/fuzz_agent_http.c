/* Fuzzes cli/agent_http.c: any request, cut anywhere, gets one whole answer or none. */
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../cli/agent.h"
#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A header of ours, and so many bytes as it says behind it. */
static void check_answer(const char *answer, size_t size)
{
	static const char length_name[] = "\r\nContent-Length: ";
	const char *body = memmem(answer, size, "\r\n\r\n", 4);
	const char *length = memmem(answer, size, length_name, sizeof(length_name) - 1);

	if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || !body || !length || length > body)
		abort();
	if (strtoul(length + sizeof(length_name) - 1, NULL, 10) !=
	    size - (size_t)(body + 4 - answer))
		abort();
}

/* The first byte: how many bytes come at once; 0: all. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct agent_client client;
	static struct agent_status status;
	char answer[AGENT_RESPONSE_SIZE + 1];
	bool goes_on = true;
	size_t length = 0;
	size_t step;
	int fds[2];
	ssize_t got;

	if (size < 1)
		return 0;
	step = data[0] ? data[0] : size;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	memset(&client, 0, sizeof(client));
	client.fd = fds[0];
	client.deadline_ms = UINT64_MAX;
	status.round_ms = clock_monotonic_ms();
	for (size_t at = 1; at < size && goes_on; at += step) {
		size_t piece = size - at < step ? size - at : step;

		if (send(fds[1], data + at, piece, MSG_NOSIGNAL) != (ssize_t)piece)
			break;
		goes_on = agent_client_run(&client, &status, 0);
	}
	shutdown(fds[1], SHUT_WR);
	for (unsigned round = 0; goes_on && round < 4; round++)
		goes_on = agent_client_run(&client, &status, 0);
	if (goes_on)
		abort();
	while ((got = recv(fds[1], answer + length, sizeof(answer) - 1 - length, 0)) > 0)
		length += (size_t)got;
	answer[length] = '\0';
	if (length)
		check_answer(answer, length);
	close(fds[1]);
	return 0;
}
