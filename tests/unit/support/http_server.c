// SPDX-License-Identifier: Apache-2.0
#include "support/http_server.h"
#include "support/assert_op.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

void send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the client left */
		data += n;
		size -= (size_t)n;
	}
}

void send_text(int fd, const char *text)
{
	send_all(fd, text, strlen(text));
}

void wait_for_close(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

static void *server_main(void *ctx)
{
	struct server *server = ctx;
	int fd;

	while ((fd = accept(server->fd, NULL, NULL)) >= 0) {
		size_t length = 0;
		ssize_t n;

		memset(server->request, 0, sizeof(server->request));
		while (!strstr(server->request, "\r\n\r\n") &&
		       (n = recv(fd, server->request + length, sizeof(server->request) - length - 1,
				 0)) > 0)
			length += (size_t)n;
		server->requests++;
		server->answer(fd, server->request);
		close(fd);
	}
	return NULL;
}

void server_start(struct server *server, void (*answer)(int fd, const char *request))
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(addr);

	memset(server, 0, sizeof(*server));
	server->answer = answer;
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_op(server->fd, >=, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(server->fd, 8), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&addr, &length), 0);
	server->port = ntohs(addr.sin_port);
	assert_int_equal(pthread_create(&server->thread, NULL, server_main, server), 0);
}

void server_stop(struct server *server)
{
	shutdown(server->fd, SHUT_RDWR);
	assert_int_equal(pthread_join(server->thread, NULL), 0);
	close(server->fd);
}
