// SPDX-License-Identifier: Apache-2.0
/*
 * reuse HOST PORT ROUNDS LONGEST_US lt|et|oneshot OTHER_HOST OTHER_PORT: two threads wait in an epoll for eight
 * connections that a third one makes, closes after at most LONGEST_US, and whose numbers it gives to other sockets at
 * once: fresh ones, ones that connect to OTHER_HOST, the same in the epoll with data of their own, and datagram sockets that may
 * broadcast. What an event of a closed connection points to is poisoned.
 *
 * Prints the rounds; how many events came ("events"), and how many with an error or a hang-up ("failed"); how
 * many of them were of a connection that had been closed before their epoll_wait() began ("stale");
 * how many of the other sockets, or their registrations, are not what their thread made of them ("foreign").
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "table.h"

#define AT_ONCE 8
#define THREADS 2

/* By what clock a connection was closed: 0, not yet. Never freed. */
struct connection {
	atomic_ulong closed;
};

static atomic_ulong clock_of_all = 1;
static atomic_ulong events_seen, failed_seen, stale;
static atomic_bool over;
static int epoll;

static void *wait_for_all(void *unused)
{
	struct epoll_event events[16];

	while (!over) {
		unsigned long began = clock_of_all;
		int count = epoll_wait(epoll, events, 16, 20);

		for (int i = 0; i < count; i++) {
			struct connection *one = events[i].data.ptr;
			unsigned long closed = one->closed;

			events_seen++;
			if (events[i].events & (EPOLLERR | EPOLLHUP))
				failed_seen++;
			if (closed && closed < began)
				stale++;
		}
	}
	return unused;
}

static void read_address(struct sockaddr_in *address, const char *host, const char *port)
{
	address->sin_family = AF_INET;
	address->sin_port = htons((uint16_t)atoi(port));
	inet_pton(AF_INET, host, &address->sin_addr);
}

static void close_one(int fd, struct connection *one)
{
	close(fd);
	one->closed = ++clock_of_all;
	++clock_of_all;
}

enum kind {
	FRESH,
	CONNECTS,
	DATAGRAM,
	REGISTERED, /* and connects */
	KINDS,
};

/* By raw calls: what the kernel says. What was never bound or connected has no port, no error and no state. */
static bool is_fresh(int fd, enum kind kind)
{
	struct tcp_info info = {.tcpi_state = TCP_CLOSE};
	struct sockaddr_in name = {0}, peer = {0};
	int error = 0;
	socklen_t info_size = sizeof(info), name_size = sizeof(name), peer_size = sizeof(peer), error_size = sizeof(error);

	if (kind == FRESH)
		syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &info, &info_size);
	syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
	syscall(SYS_getsockname, fd, &name, &name_size);
	return info.tcpi_state == TCP_CLOSE && error == 0 && name.sin_port == 0 &&
	       syscall(SYS_getpeername, fd, &peer, &peer_size) < 0;
}

/* It is on its way there, or has got there. */
static bool is_connected(int fd, const struct sockaddr_in *other)
{
	struct sockaddr_in peer = {0};
	socklen_t size = sizeof(peer), error_size = sizeof(int);
	int error = 0;

	syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
	if (error) {
		fprintf(stderr, "foreign: %s\n", strerror(error));
		return false;
	}
	if (syscall(SYS_getpeername, fd, &peer, &size) < 0)
		return errno == ENOTCONN;
	return peer.sin_addr.s_addr == other->sin_addr.s_addr && peer.sin_port == other->sin_port;
}

/* Its registration carries this. */
static bool is_registered(int fd, const struct connection *data)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		uint64_t value;
		int number;

		if (sscanf(line, "tfd: %d events: %*x data: %" SCNx64, &number, &value) == 2 && number == fd)
			found = value == (uintptr_t)data;
	}
	if (file)
		fclose(file);
	return found;
}

static void tell_foreign(int fd, enum kind kind)
{
	static const char *const names[KINDS] = {"fresh", "connects", "datagram", "registered"};
	struct tcp_info info = {0};
	struct sockaddr_in name = {0}, peer = {0};
	socklen_t info_size = sizeof(info), size = sizeof(name), peer_size = sizeof(peer);
	char host[INET_ADDRSTRLEN];

	syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &info, &info_size);
	syscall(SYS_getsockname, fd, &name, &size);
	syscall(SYS_getpeername, fd, &peer, &peer_size);
	inet_ntop(AF_INET, &peer.sin_addr, host, sizeof(host));
	fprintf(stderr, "foreign: %s, TCP state %d, port %d, peer %s:%d\n", names[kind], info.tcpi_state, ntohs(name.sin_port),
		host, ntohs(peer.sin_port));
}

static int make_other(enum kind kind, const struct sockaddr_in *other, struct connection *data, uint32_t flags)
{
	struct epoll_event event = {.events = EPOLLOUT | flags, .data.ptr = data};
	int fd = socket(AF_INET, (kind == DATAGRAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;

	if (kind == DATAGRAM)
		setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes));
	if (kind == CONNECTS || kind == REGISTERED)
		connect(fd, (const struct sockaddr *)other, sizeof(*other));
	if (kind == REGISTERED)
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	return fd;
}

static bool is_as_made(int fd, enum kind kind, const struct sockaddr_in *other, const struct connection *data)
{
	if (kind == FRESH || kind == DATAGRAM)
		return is_fresh(fd, kind);
	return is_connected(fd, other) && (kind == CONNECTS || is_registered(fd, data));
}

int main(int argc, char **argv)
{
	struct sockaddr_in target = {0}, other = {0};
	pthread_t threads[THREADS];
	struct connection *all;
	unsigned long rounds;
	unsigned longest, foreign = 0, seed = 1;
	uint32_t flags;

	if (argc != 8)
		return 2;
	wait_for_table();
	read_address(&target, argv[1], argv[2]);
	rounds = strtoul(argv[3], NULL, 10);
	longest = (unsigned)atoi(argv[4]);
	flags = argv[5][0] == 'e' ? EPOLLET : argv[5][0] == 'o' ? EPOLLONESHOT : 0;
	read_address(&other, argv[6], argv[7]);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	all = calloc(2 * rounds * AT_ONCE, sizeof(*all));
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, wait_for_all, NULL);
	for (unsigned long round = 0; round < rounds; round++) {
		struct connection *some = &all[2 * round * AT_ONCE], *data = &some[AT_ONCE];
		int fds[AT_ONCE], others[AT_ONCE];

		for (int i = 0; i < AT_ONCE; i++) {
			struct epoll_event event = {.events = EPOLLOUT | flags, .data.ptr = &some[i]};

			fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
			connect(fds[i], (struct sockaddr *)&target, sizeof(target));
			epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
		}
		usleep((useconds_t)rand_r(&seed) % (longest + 1));
		for (int i = 0; i < AT_ONCE; i++) {
			close_one(fds[i], &some[i]);
			others[i] = make_other(i % KINDS, &other, &data[i], flags);
		}
		usleep((useconds_t)rand_r(&seed) % 128);
		for (int i = 0; i < AT_ONCE; i++) {
			if (!is_as_made(others[i], i % KINDS, &other, &data[i])) {
				foreign++;
				tell_foreign(others[i], i % KINDS);
			}
			close_one(others[i], &data[i]);
		}
	}
	over = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("rounds %lu\nevents %lu\nfailed %lu\nstale %lu\nforeign %u\n", rounds, events_seen, failed_seen, stale, foreign);
	return 0;
}
