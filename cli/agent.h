/* What the files of `k8slb agent` share: a thread that syncs, and one that answers sockets. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_AGENT_H
#define K8SLB_CLI_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "pipeline/pipeline.h"
#include "publish/region.h"
#include "table/layout.h"

/* A round of the sync ends after this time at the latest. */
#define AGENT_ROUND_MS 500
/* No round came to its end for so long: something hangs. */
#define AGENT_STUCK_MS 10000u

/* So long a signal waits for the sync, which no longer looks at anything while it hangs. */
#define AGENT_END_MS 2000u

/* One table that was made; the newest with content is handed out. Never freed: growth doubles. */
struct agent_table {
	int fd; /* for readers */
	const struct table_header *header;
	unsigned char *writable; /* good as long as this is the newest published one */
	struct agent_table *older;
};

/*
 * What the sync says of itself. One thread writes, the other reads, each word by itself
 * (base/atomic.h: poke and peek).
 */
struct agent_status {
	uint64_t round_ms; /* CLOCK_MONOTONIC of the last round's end */
	uint64_t generation;
	uint64_t services;
	uint64_t ports;
	uint64_t endpoints;
	uint64_t bytes;
	uint64_t publishes;
	uint64_t unheard_ms;
	uint64_t left_out;	   /* Services without room */
	uint64_t publish_failure;  /* errno; 0: the last one was good */
	uint64_t publish_failures; /* all of them */
	uint64_t live;
	uint64_t requests;
	uint64_t errors;
	uint64_t readers;	/* tables handed out */
	uint64_t reader_errors; /* that could not be */
	uint64_t max_age_s;	/* constant */
};

/* No round of the sync has come to its end for AGENT_STUCK_MS. */
bool agent_hangs(const struct agent_status *status);

/* What /healthz says of one that is healthy: "ok", or how much is left out. */
void agent_well(const struct agent_status *status, char *text, size_t size);

/* Why it is not healthy, or NULL. */
const char *agent_sick(const struct agent_status *status, char *text, size_t size);

/* Prometheus text format 0.0.4. Returns its length, below @size. */
size_t agent_metrics(const struct agent_status *status, char *text, size_t size);

/* ---- agent_socket.c: the file at the path, and who owns it ---- */

struct agent_socket {
	const char *path;
	char name[240]; /* the path's last part */
	int directory;	/* its descriptor */
	int lock;
};

/* Opens the directory, making its last part where it is missing, and takes the lock: both root's or
 * this user's, and no links. Returns 0, or -errno after a message. */
int agent_socket_take(const char *path, struct agent_socket *ret_socket);

/* Nobody but root and this user could put anything else at the path. */
bool agent_socket_is_ours_alone(const struct agent_socket *own);

/* A listening socket appears at the path in one step, whatever socket was there. Returns its
 * descriptor, or -errno after a message: also where another directory is there by now. */
int agent_socket_listen(const struct agent_socket *own, unsigned mode);

/* Whether anything is at the path. */
bool agent_socket_is_there(const struct agent_socket *own);

/* Removes the socket. The lock goes with the process. */
void agent_socket_leave(const struct agent_socket *own);

/* ---- agent_server.c: the thread of the sockets ---- */

struct agent_server {
	struct agent_status *status;
	struct agent_table **tables; /* the newest first; published by the sync */
	struct pipeline *pipeline;   /* to be woken at the end */
	struct logger logger;
	int http_listener; /* -1: none */
	int signals;	   /* signalfd(2) */
	int wake;	   /* eventfd(2), for a new table_listener */
	uint32_t stop;	   /* a signal has come */
	uint64_t stop_ms;  /* when; 0: none has. For the server's thread alone */
	/* The sync did not end within AGENT_END_MS of a signal, as in a name lookup without an
	 * answer: ends the process in its place. */
	void (*end)(void *ctx);
	void *end_ctx;
	uint32_t table_listener; /* UINT32_MAX: not yet */
	int used_listener;	 /* what the server's thread takes for it; -1: none */
};

/* Blocks the signals that end the process and makes the descriptors. Before any other thread is
 * there. Returns 0 or -errno after a message. */
int agent_server_init(struct agent_server *server, const char *listen);

/* Returns 0 or -errno. */
int agent_server_start(struct agent_server *server);

/* From now on tables are handed out here, and no more where they were before. */
void agent_server_open(struct agent_server *server, int table_listener);

/* ---- agent_http.c ---- */

/* Most clients at once, what one may take, and how large its request may be. */
#define AGENT_CLIENTS	    16u
#define AGENT_CLIENT_MS	    5000u
#define AGENT_REQUEST_SIZE  1024u
#define AGENT_RESPONSE_SIZE 8192u

struct agent_client {
	int fd; /* -1: free */
	uint64_t deadline_ms;
	size_t request_length;
	size_t response_length; /* 0: the request is not complete */
	size_t sent;
	char request[AGENT_REQUEST_SIZE];
	char response[AGENT_RESPONSE_SIZE];
};

/* "ADDRESS:PORT", "[ADDRESS]:PORT" or ":PORT", which is all of both families. Returns a listening
 * socket, non-blocking, or -errno after a message. */
int agent_http_listen(const char *where, const struct logger *logger);

/* Goes on with a client that is ready, or over its time. False: it is done, and closed. */
bool agent_client_run(struct agent_client *client, const struct agent_status *status,
		      uint64_t now_ms);

void agent_client_drop(struct agent_client *client);

/* The poll(2) events that the client waits for. */
short agent_client_events(const struct agent_client *client);

#endif
