// SPDX-License-Identifier: Apache-2.0
/*
 * libevent METHOD HOST PORT COUNT: bufferevent_socket_connect() with one of libevent's ways to wait
 * (epoll, poll, select); one line of SECONDS RESULT for each connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "now.h"

static struct event_base *base;
static char result[200];

static void settle(const char *text)
{
	snprintf(result, sizeof(result), "%s", text);
	event_base_loopbreak(base);
}

static void on_read(struct bufferevent *connection, void *unused)
{
	char *line = evbuffer_readln(bufferevent_get_input(connection), NULL, EVBUFFER_EOL_ANY);

	(void)unused;
	if (line)
		settle(line);
	free(line);
}

static void on_event(struct bufferevent *connection, short what, void *unused)
{
	(void)unused;
	if (what & BEV_EVENT_CONNECTED)
		bufferevent_write(connection, "WHO\n", 4);
	else if (what & BEV_EVENT_TIMEOUT)
		settle("timeout");
	else
		settle(what & BEV_EVENT_ERROR ? evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()) : "closed");
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct event_config *config = event_config_new();

	if (argc != 5)
		return 2;
	for (const char *const *method = event_get_supported_methods(); *method; method++) {
		if (strcmp(*method, argv[1]) != 0)
			event_config_avoid_method(config, *method);
	}
	base = event_base_new_with_config(config);
	if (!base || strcmp(event_base_get_method(base), argv[1]) != 0)
		return 2;
	inet_pton(AF_INET, argv[2], &address.sin_addr);
	address.sin_port = htons((uint16_t)atoi(argv[3]));
	for (int i = atoi(argv[4]); i > 0; i--) {
		struct timeval limit = {.tv_sec = 3};
		double began = now();
		struct bufferevent *connection = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

		result[0] = '\0';
		bufferevent_setcb(connection, on_read, NULL, on_event, NULL);
		bufferevent_set_timeouts(connection, &limit, &limit);
		bufferevent_enable(connection, EV_READ | EV_WRITE);
		/* What fails at once is told to on_event() before this returns. */
		bufferevent_socket_connect(connection, (struct sockaddr *)&address, sizeof(address));
		if (!result[0])
			event_base_dispatch(base);
		bufferevent_free(connection);
		printf("%.6f %s\n", now() - began, result);
	}
	return 0;
}
