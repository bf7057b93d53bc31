/* A server on loopback for tests of the client: one thread, one connection after the other. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_HTTP_SERVER_H
#define K8SLB_TESTS_HTTP_SERVER_H

#include <pthread.h>
#include <stddef.h>

struct server {
	int fd;
	unsigned port;
	pthread_t thread;
	void (*answer)(int fd, const char *request);
	char request[4096]; /* the last one; read it after server_stop() */
	unsigned requests;
};

/* @answer gets each connection, with the header of its request read; it is closed behind it. */
void server_start(struct server *server, void (*answer)(int fd, const char *request));

/* The client must be gone: a handler may wait for it. */
void server_stop(struct server *server);

/* For handlers: what a client that has left does not take is dropped. */
void send_all(int fd, const char *data, size_t size);
void send_text(int fd, const char *text);

/* Until the client closes; what it sends is dropped. */
void wait_for_close(int fd);

#endif
