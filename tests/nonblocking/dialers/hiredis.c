// SPDX-License-Identifier: Apache-2.0
/*
 * hiredis timeout|async HOST PORT COUNT: redisConnectWithTimeout(), or the asynchronous client in
 * libevent's loop; one line of SECONDS RESULT for each connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "now.h"

static const struct timeval limit = {.tv_sec = 3};
static struct event_base *base;
static char result[200];

static void settle(const char *text)
{
	if (!result[0])
		snprintf(result, sizeof(result), "%s", text);
}

static void by_timeout(const char *host, int port)
{
	redisContext *context = redisConnectWithTimeout(host, port, limit);
	redisReply *reply = context->err ? NULL : redisCommand(context, "GET who");

	settle(reply ? reply->str : context->errstr);
	freeReplyObject(reply);
	redisFree(context);
}

static void on_reply(redisAsyncContext *context, void *reply, void *unused)
{
	(void)unused;
	if (reply) {
		settle(((redisReply *)reply)->str);
		redisAsyncDisconnect(context);
	}
}

static void on_connect(const redisAsyncContext *context, int status)
{
	if (status != REDIS_OK)
		settle(context->errstr);
}

static void on_limit(evutil_socket_t fd, short what, void *unused)
{
	(void)fd;
	(void)what;
	(void)unused;
	settle("timeout");
}

static void by_events(const char *host, int port)
{
	redisAsyncContext *context = redisAsyncConnect(host, port);
	struct event *timer = evtimer_new(base, on_limit, NULL);

	if (context->err) {
		settle(context->errstr);
		redisAsyncFree(context);
	} else {
		redisLibeventAttach(context, base);
		redisAsyncSetConnectCallback(context, on_connect);
		redisAsyncCommand(context, on_reply, NULL, "GET who");
	}
	evtimer_add(timer, &limit);
	while (!result[0])
		event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	base = event_base_new();
	for (int i = atoi(argv[4]); i > 0; i--) {
		double began = now();

		result[0] = '\0';
		if (strcmp(argv[1], "async") == 0)
			by_events(argv[2], atoi(argv[3]));
		else
			by_timeout(argv[2], atoi(argv[3]));
		printf("%.6f %s\n", now() - began, result);
	}
	return 0;
}
