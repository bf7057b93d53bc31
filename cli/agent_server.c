// SPDX-License-Identifier: Apache-2.0
/* One thread for all sockets and signals, so that a sync that hangs is still told of. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "cli.h"
#include "publish/handover_region.h"

#define COMMAND "agent"

/* The first places of the poll set; clients follow. */
enum {
	POLL_SIGNALS,
	POLL_WAKE,
	POLL_TABLE,
	POLL_HTTP,
	POLL_CLIENTS,
};

#define PAUSE_MS 50 /* when there is no descriptor left for a client */

static struct agent_client clients[AGENT_CLIENTS];

/* Each table in flight counts to the limit of descriptors. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int agent_server_init(struct agent_server *server, const char *listen)
{
	sigset_t ends;

	signal(SIGPIPE, SIG_IGN); /* of standard error */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	raise_descriptor_limit();
	server->table_listener = UINT32_MAX;
	server->used_listener = -1;
	server->http_listener = -1;
	server->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->signals < 0 || server->wake < 0) {
		int rc = -errno;

		cli_failed(COMMAND, "no descriptor", rc);
		return rc;
	}
	if (listen) {
		server->http_listener = agent_http_listen(listen, &server->logger);
		if (server->http_listener < 0)
			return server->http_listener;
	}
	for (unsigned i = 0; i < AGENT_CLIENTS; i++)
		clients[i].fd = -1;
	return 0;
}

/* ---- tables ---- */

/* The newest table in which something was published. */
static const struct agent_table *table_to_give(const struct agent_server *server)
{
	/* Pairs with the publish in new_table() of agent.c. */
	const struct agent_table *table = observe_pointer(server->tables);

	/* A reader asks right after the old one said "moved", which comes after the first publish
	 * in the new one. Pairs with table_writer_publish(). */
	while (table && !observe_u64(&table->header->current))
		table = table->older;
	return table;
}

static void pause_ms(long ms)
{
	struct timespec pause = {.tv_nsec = ms * 1000000L};

	nanosleep(&pause, NULL);
}

static int accept_client(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
		pause_ms(PAUSE_MS);
	return fd;
}

/* One thread counts. */
static void count_one(uint64_t *counter)
{
	poke_u64(counter, peek_u64(counter) + 1);
}

/* Here, where nobody polls the old one. */
static void follow_listener(struct agent_server *server)
{
	int listener = (int)peek_u32(&server->table_listener);

	if (server->used_listener >= 0 && server->used_listener != listener)
		close(server->used_listener);
	server->used_listener = listener;
}

static void hand_out(struct agent_server *server)
{
	int client = accept_client(server->used_listener);
	const struct agent_table *table = table_to_give(server);
	int rc;

	if (client < 0)
		return;
	rc = table ? handover_send(client, table->fd) : -ENOENT;
	if (rc == 0)
		count_one(&server->status->readers);
	else if (rc != -EPIPE && rc != -ECONNRESET) /* who only looks who is here */
		count_one(&server->status->reader_errors);
	close(client);
}

/* ---- HTTP ---- */

/* With a full house the one that has been here longest goes: whoever has something to ask has said
 * it by then, and those who say nothing must not keep a probe of the kubelet waiting. */
static struct agent_client *room_for_client(void)
{
	struct agent_client *oldest = &clients[0];

	for (unsigned i = 0; i < AGENT_CLIENTS; i++) {
		if (clients[i].fd < 0)
			return &clients[i];
		if (clients[i].deadline_ms < oldest->deadline_ms)
			oldest = &clients[i];
	}
	agent_client_drop(oldest);
	return oldest;
}

static void take_client(const struct agent_server *server)
{
	int fd = accept_client(server->http_listener);
	struct agent_client *client;
	uint64_t now_ms;

	if (fd < 0)
		return;
	client = room_for_client();
	now_ms = clock_monotonic_ms();
	memset(client, 0, sizeof(*client));
	client->fd = fd;
	client->deadline_ms = now_ms + AGENT_CLIENT_MS;
	/* Its request is mostly here already, and then it needs no room. */
	agent_client_run(client, server->status, now_ms);
}

/* Milliseconds until the first client, or the sync after a signal, has used up its time; -1: there
 * is none. */
static int time_left(const struct agent_server *server)
{
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t first_ms = server->stop_ms ? server->stop_ms + AGENT_END_MS : UINT64_MAX;

	for (unsigned i = 0; i < AGENT_CLIENTS; i++) {
		if (clients[i].fd >= 0 && clients[i].deadline_ms < first_ms)
			first_ms = clients[i].deadline_ms;
	}
	if (first_ms == UINT64_MAX)
		return -1;
	return first_ms > now_ms ? (int)(first_ms - now_ms) : 0;
}

/* ---- the thread ---- */

static void take_signal(struct agent_server *server)
{
	struct signalfd_siginfo info;

	if (read(server->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	log_info(&server->logger, "ends by signal %u", info.ssi_signo);
	if (!server->stop_ms)
		server->stop_ms = clock_monotonic_ms();
	publish_u32(&server->stop, 1); /* observed by the sync */
	pipeline_wakeup(server->pipeline);
}

static void take_wake(const struct agent_server *server)
{
	uint64_t count;

	(void)!read(server->wake, &count, sizeof(count));
}

static void run_round(struct agent_server *server)
{
	struct pollfd set[POLL_CLIENTS + AGENT_CLIENTS] = {
		[POLL_SIGNALS] = {.fd = server->signals, .events = POLLIN},
		[POLL_WAKE] = {.fd = server->wake, .events = POLLIN},
		[POLL_TABLE] = {.fd = server->used_listener, .events = POLLIN},
		[POLL_HTTP] = {.fd = server->http_listener, .events = POLLIN},
	};
	uint64_t now_ms;

	for (unsigned i = 0; i < AGENT_CLIENTS; i++) {
		set[POLL_CLIENTS + i].fd = clients[i].fd;
		set[POLL_CLIENTS + i].events = agent_client_events(&clients[i]);
	}
	if (poll(set, POLL_CLIENTS + AGENT_CLIENTS, time_left(server)) < 0) {
		pause_ms(errno == EINTR ? 0 : PAUSE_MS);
		return;
	}
	if (set[POLL_SIGNALS].revents)
		take_signal(server);
	if (set[POLL_WAKE].revents)
		take_wake(server);
	if (set[POLL_TABLE].revents)
		hand_out(server);
	now_ms = clock_monotonic_ms();
	if (server->stop_ms && now_ms - server->stop_ms >= AGENT_END_MS)
		server->end(server->end_ctx);
	for (unsigned i = 0; i < AGENT_CLIENTS; i++) {
		struct agent_client *client = &clients[i];

		if (client->fd >= 0 &&
		    (set[POLL_CLIENTS + i].revents || now_ms >= client->deadline_ms))
			agent_client_run(client, server->status, now_ms);
	}
	if (set[POLL_HTTP].revents)
		take_client(server);
}

static void *run(void *ctx)
{
	for (;;) {
		follow_listener(ctx);
		run_round(ctx);
	}
	return NULL;
}

int agent_server_start(struct agent_server *server)
{
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, run, server);

	if (rc == 0)
		rc = pthread_detach(thread);
	return -rc;
}

void agent_server_open(struct agent_server *server, int table_listener)
{
	uint64_t one = 1;

	poke_u32(&server->table_listener, (uint32_t)table_listener);
	(void)!write(server->wake, &one, sizeof(one));
}
