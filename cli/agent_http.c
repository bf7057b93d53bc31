// SPDX-License-Identifier: Apache-2.0
/* /healthz, /livez and /metrics: one small GET, one answer, the end. Who wants more gets less. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "cli.h"
#include "config/values.h"

#define COMMAND	    "agent"
#define HEADER_ROOM 512u

/* ---- where to listen ---- */

static int parse_where(const char *where, struct sockaddr_storage *address, socklen_t *ret_size)
{
	struct sockaddr_in *four = (struct sockaddr_in *)address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
	const char *colon = strrchr(where, ':');
	char host[INET6_ADDRSTRLEN + 2];
	uint32_t port;
	size_t length;

	if (!colon || !value_number(colon + 1, 0, 65535, &port))
		return -EINVAL;
	length = (size_t)(colon - where);
	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, where, length);
	host[length] = '\0';
	memset(address, 0, sizeof(*address));
	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		*ret_size = sizeof(*six);
		return inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	four->sin_family = AF_INET;
	four->sin_port = htons((uint16_t)port);
	*ret_size = sizeof(*four);
	return !length || inet_pton(AF_INET, host, &four->sin_addr) == 1 ? 0 : -EINVAL;
}

/* Port 0 is the kernel's choice. */
static void tell_port(int fd, const char *where, const struct logger *logger)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	uint16_t port = 0;

	if (getsockname(fd, (struct sockaddr *)&address, &size) == 0)
		port = address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
						    : ((struct sockaddr_in6 *)&address)->sin6_port;
	log_info(logger, "/healthz, /livez and /metrics at %.*s:%u",
		 (int)(strrchr(where, ':') - where), where, ntohs(port));
}

/* Returns a listening socket or -errno. */
static int listen_at(const struct sockaddr_storage *address, socklen_t size)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	int off = 0;
	int rc;

	if (fd < 0)
		return -errno;
	if (address->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (const struct sockaddr *)address, size) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* IPv6 and IPv4: a Pod may have either alone. */
static int listen_everywhere(const struct sockaddr_in *four)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
	int fd;

	six->sin6_family = AF_INET6;
	six->sin6_port = four->sin_port;
	fd = listen_at(&address, sizeof(*six));
	if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) { /* a kernel without IPv6 */
		memset(&address, 0, sizeof(address));
		memcpy(&address, four, sizeof(*four));
		fd = listen_at(&address, sizeof(*four));
	}
	return fd;
}

int agent_http_listen(const char *where, const struct logger *logger)
{
	struct sockaddr_storage address;
	socklen_t size = 0;
	int fd;

	if (parse_where(where, &address, &size) < 0) {
		cli_wrong(COMMAND, "--listen", where, "ADDRESS:PORT, [ADDRESS]:PORT or :PORT");
		return -EINVAL;
	}
	fd = *where == ':' ? listen_everywhere((struct sockaddr_in *)&address)
			   : listen_at(&address, size);
	if (fd < 0) {
		cli_error(COMMAND, "choose an address of this machine and a free port", "--listen %s: %s",
			  where, strerror(-fd));
		return fd;
	}
	tell_port(fd, where, logger);
	return fd;
}

/* ---- a client ---- */

static void respond(struct agent_client *client, const char *status, const char *type,
		    const char *body, size_t length)
{
	int header = snprintf(client->response, HEADER_ROOM,
			      "HTTP/1.1 %s\r\n"
			      "Content-Type: %s\r\n"
			      "Content-Length: %zu\r\n"
			      "%s"
			      "Connection: close\r\n"
			      "\r\n",
			      status, type, length,
			      strncmp(status, "405", 3) == 0 ? "Allow: GET\r\n" : "");

	memmove(client->response + header, body, length);
	client->response_length = (size_t)header + length;
}

static void respond_text(struct agent_client *client, const char *status, const char *text)
{
	char line[160];
	int length = snprintf(line, sizeof(line), "%s\n", text);

	respond(client, status, "text/plain; charset=utf-8", line, (size_t)length);
}

static void respond_metrics(struct agent_client *client, const struct agent_status *status)
{
	static char body[AGENT_RESPONSE_SIZE - HEADER_ROOM]; /* one thread answers */
	size_t length = agent_metrics(status, body, sizeof(body));

	respond(client, "200 OK", "text/plain; version=0.0.4; charset=utf-8", body, length);
}

static void respond_health(struct agent_client *client, const char *sick, const char *well)
{
	respond_text(client, sick ? "503 Service Unavailable" : "200 OK", sick ? sick : well);
}

static void answer(struct agent_client *client, const struct agent_status *status)
{
	char *save = NULL;
	const char *method = strtok_r(client->request, " ", &save);
	const char *target = strtok_r(NULL, " ", &save);
	const char *protocol = strtok_r(NULL, "\r\n", &save);
	char reason[128];
	char well[128];

	if (!method || !target || !protocol || strncmp(protocol, "HTTP/1.", 7) != 0) {
		respond_text(client, "400 Bad Request", "not an HTTP/1.1 request");
	} else if (strcmp(method, "GET") != 0) {
		respond_text(client, "405 Method Not Allowed", "GET only");
	} else if (strcmp(target, "/metrics") == 0) {
		respond_metrics(client, status);
	} else if (strcmp(target, "/healthz") == 0) {
		agent_well(status, well, sizeof(well));
		respond_health(client, agent_sick(status, reason, sizeof(reason)), well);
	} else if (strcmp(target, "/livez") == 0) {
		respond_health(client, agent_hangs(status) ? "the sync hangs" : NULL, "ok");
	} else {
		respond_text(client, "404 Not Found", "there are /healthz, /livez and /metrics");
	}
}

/* Returns false when the client is gone. */
static bool take_request(struct agent_client *client, const struct agent_status *status)
{
	size_t room = sizeof(client->request) - 1 - client->request_length;
	ssize_t got = recv(client->fd, client->request + client->request_length, room, 0);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (got == 0)
		return false;
	client->request_length += (size_t)got;
	client->request[client->request_length] = '\0';
	if (memmem(client->request, client->request_length, "\r\n\r\n", 4))
		answer(client, status);
	else if (client->request_length == sizeof(client->request) - 1)
		respond_text(client, "431 Request Header Fields Too Large", "too large a request");
	return true;
}

/* Returns false when all is sent or the client is gone. */
static bool send_response(struct agent_client *client)
{
	ssize_t sent = send(client->fd, client->response + client->sent,
			    client->response_length - client->sent, MSG_NOSIGNAL);

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	client->sent += (size_t)sent;
	if (client->sent < client->response_length)
		return true;
	shutdown(client->fd, SHUT_WR);
	return false;
}

bool agent_client_run(struct agent_client *client, const struct agent_status *status,
		      uint64_t now_ms)
{
	bool goes_on = now_ms < client->deadline_ms;

	if (goes_on && !client->response_length)
		goes_on = take_request(client, status);
	if (goes_on && client->response_length)
		goes_on = send_response(client);
	if (!goes_on)
		agent_client_drop(client);
	return goes_on;
}

void agent_client_drop(struct agent_client *client)
{
	close(client->fd);
	client->fd = -1;
}

short agent_client_events(const struct agent_client *client)
{
	return client->response_length ? POLLOUT : POLLIN;
}
