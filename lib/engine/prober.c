// SPDX-License-Identifier: Apache-2.0
#include "engine/prober.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/raw_syscall.h"
#include "base/tcp_socket.h"
#include "pick/probed.h"

/* How often it looks for more, at most: rounds may follow each other at once. */
#define LOOK_MS 200u

#define SO_NETNS_COOKIE_OPTION 71 /* <asm-generic/socket.h>; 5.14 */

/*
 * Of the calling thread: others of the program may be in another one. 0: not known.
 *
 * Not from /proc if the kernel tells it without (Linux 5.14): what was looked up below
 * /proc/thread-self is dropped at the thread's end, and whoever waits for the process, if that
 * interrupts it there, turns in circles until it has been (proc_flush_pid(),
 * shrink_dcache_parent()): up to a tick of 4 ms, at the end of every other short program.
 */
static uint64_t network_namespace(void)
{
	long fd = raw_syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	struct stat net;

	if (fd >= 0) {
		raw_syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE_OPTION, &cookie, &size);
		raw_syscall(SYS_close, fd);
	}
	if (cookie)
		return cookie;
	if (raw_syscall(SYS_newfstatat, AT_FDCWD, "/proc/thread-self/ns/net", &net, 0) < 0)
		return 0;
	return net.st_ino ^ hash_mix(net.st_dev);
}

uint64_t prober_number(uint64_t table)
{
	uint64_t net = network_namespace();

	return net ? hash_mix(table ^ hash_mix(net)) : 0;
}

void prober_open(struct prober *ret_prober, struct pick_memory *memory, uint64_t number,
		 uint32_t probe_ms, const struct logger *logger)
{
	struct prober prober = {
		.state = {.memory = memory, .rules = HEALTH_DEFAULTS},
		.logger = logger,
		.number = memory ? number : 0,
		.epoll_fd = -1,
	};

	prober.state.rules.probe_ms = probe_ms;
	for (unsigned i = 0; i < PROBER_MOST; i++)
		prober.probes[i].fd = -1;
	if (prober.number)
		prober.epoll_fd = (int)raw_syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
	if (prober.epoll_fd < 0)
		prober.number = 0;
	*ret_prober = prober;
}

static void end_probe(struct probe *probe)
{
	raw_syscall(SYS_close, probe->fd);
	probe->fd = -1;
}

/* Of the endpoint; any other one is of this host, and says nothing of it. */
static void take_outcome(struct prober *prober, struct probe *probe, int error)
{
	char text[IP_TEXT_SIZE];

	end_probe(probe);
	if (!error)
		pick_succeeded(&prober->state, &probe->endpoint);
	else if (health_is_fault(error))
		pick_failed(&prober->state, &probe->endpoint);
	ip_port_format(&probe->endpoint.address, probe->endpoint.port, text, sizeof(text));
	log_debug(prober->logger, "endpoint %s was avoided, and is tried: %s", text,
		  error ? strerror(error) : "it is there");
}

/* Closed without a word to the server's program. */
static bool set_up(int fd)
{
	const struct linger at_once = {.l_onoff = 1};
	const int no = 0;

	return raw_syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) ==
		       0 &&
	       raw_syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_QUICKACK, &no, sizeof(no)) == 0;
}

static void begin(struct prober *prober, struct probe *probe, uint64_t now_ms)
{
	struct epoll_event event = {.events = EPOLLOUT};
	struct sockaddr_storage address;
	socklen_t length =
		sockaddr_make(&address, &probe->endpoint.address, probe->endpoint.port);

	probe->due_ms = now_ms + prober->state.rules.probe_ms;
	probe->fd = (int)raw_syscall(SYS_socket, address.ss_family,
				     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (probe->fd < 0)
		return;
	if (set_up(probe->fd)) {
		int error = raw_syscall(SYS_connect, probe->fd, &address, length) < 0 ? errno : 0;

		if (error != EINPROGRESS) {
			take_outcome(prober, probe, error);
			return;
		}
		if (raw_syscall(SYS_epoll_ctl, prober->epoll_fd, EPOLL_CTL_ADD, probe->fd,
				&event) == 0)
			return;
	}
	end_probe(probe);
}

static void look_at(struct prober *prober, struct probe *probe, uint64_t now_ms)
{
	uint8_t state = tcp_state_of(probe->fd);
	int error = tcp_take_error(probe->fd);

	if (!state)
		end_probe(probe);
	else if (error || state != TCP_SYN_SENT)
		take_outcome(prober, probe, error);
	else if (now_ms >= probe->due_ms)
		take_outcome(prober, probe, ETIMEDOUT);
}

static struct probe *free_probe(struct prober *prober)
{
	for (unsigned i = 0; i < PROBER_MOST; i++) {
		if (prober->probes[i].fd < 0)
			return &prober->probes[i];
	}
	return NULL;
}

/* Returns false when no more can be begun. */
static bool try(struct prober *prober, const struct table_endpoint *endpoint, uint64_t now_ms)
{
	struct health *health = &prober->state.memory->health;
	uint64_t key = health_key(endpoint);
	struct probe *probe = free_probe(prober);

	if (!probe)
		return false;
	if (!health_is_to_probe(health, key, now_ms) ||
	    !health_claim_probe(health, &prober->state.rules, key, now_ms))
		return true;
	probe->endpoint = *endpoint;
	begin(prober, probe, now_ms);
	return true;
}

static bool try_port(struct prober *prober, const struct table_read *read,
		     const struct table_port *port, uint64_t now_ms)
{
	struct table_endpoint endpoint;

	for (unsigned i = 0; table_port_endpoint(read, port, i, &endpoint) == 0; i++) {
		if (!try(prober, &endpoint, now_ms))
			return false;
	}
	return true;
}

/* Walks the table: the memory knows endpoints by their hashes alone. This thread is the one that
 * writes it, so nothing changes meanwhile. */
static void begin_wanted(struct prober *prober, const struct table_view *view, uint64_t now_ms)
{
	struct table_service service;
	struct table_port port;
	struct table_read read;

	if (table_read_begin(view, &read) < 0)
		return;
	for (unsigned s = 0; table_service_at(&read, s, &service) == 0; s++) {
		for (unsigned p = 0; table_service_port(&read, &service, p, &port) == 0; p++) {
			if (port.protocol == IPPROTO_TCP && port.port &&
			    !try_port(prober, &read, &port, now_ms))
				return;
		}
	}
}

int prober_wait_ms(const struct prober *prober, int most_ms)
{
	uint64_t now_ms = clock_monotonic_ms();

	for (unsigned i = 0; i < PROBER_MOST; i++) {
		const struct probe *probe = &prober->probes[i];

		if (probe->fd < 0)
			continue;
		if (probe->due_ms <= now_ms)
			return 0;
		if (probe->due_ms - now_ms < (uint64_t)most_ms)
			most_ms = (int)(probe->due_ms - now_ms);
	}
	return most_ms;
}

void prober_run(struct prober *prober, const struct table_view *view)
{
	uint64_t now_ms = clock_monotonic_ms();

	if (!prober->number)
		return;
	probed_say(prober->state.memory, prober->number, now_ms);
	for (unsigned i = 0; i < PROBER_MOST; i++) {
		if (prober->probes[i].fd >= 0)
			look_at(prober, &prober->probes[i], now_ms);
	}
	if (!view || now_ms < prober->look_ms)
		return;
	prober->look_ms = now_ms + LOOK_MS;
	if (health_any_to_probe(&prober->state.memory->health, now_ms))
		begin_wanted(prober, view, now_ms);
}

void prober_close(struct prober *prober)
{
	for (unsigned i = 0; i < PROBER_MOST; i++) {
		if (prober->probes[i].fd >= 0)
			end_probe(&prober->probes[i]);
	}
	if (prober->epoll_fd >= 0)
		raw_syscall(SYS_close, prober->epoll_fd);
	if (prober->number)
		probed_say(prober->state.memory, prober->number, 0);
	prober->epoll_fd = -1;
	prober->number = 0;
}
