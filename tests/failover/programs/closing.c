// SPDX-License-Identifier: Apache-2.0
/*
 * closing WAY HOST PORT CLOSE_MS: a thread waits for a connection that is under way, and CLOSE_MS after its beginning another
 * one gives its number away, in one WAY: close, dup2, dup3, close_range, closefrom. A fresh socket gets it. Prints
 * "fresh" if that is what it was a moment later, else "foreign".
 * Ways that close nothing: dup2_of_nothing, dup3_flags, vfork and fork (a child closes it). Then prints which pod answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd;

static void *wait_for_it(void *unused)
{
	struct pollfd one = {.fd = fd, .events = POLLOUT};

	poll(&one, 1, 1000);
	return unused;
}

static int fresh_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* What else has the number is put there by the same call, or by the next socket(). */
static void give_away(const char *way)
{
	int other = strncmp(way, "dup", 3) == 0 ? fresh_socket() : -1;

	if (strcmp(way, "dup2") == 0) {
		dup2(other, fd);
		close(other);
		return;
	}
	if (strcmp(way, "dup3") == 0) {
		dup3(other, fd, O_CLOEXEC);
		close(other);
		return;
	}
	if (strcmp(way, "close_range") == 0)
		close_range((unsigned)fd, (unsigned)fd, 0);
	else if (strcmp(way, "closefrom") == 0)
		closefrom(fd);
	else
		close(fd);
	if (fresh_socket() != fd)
		puts("another number");
}

/* By raw calls: what the kernel says. */
static bool is_fresh(void)
{
	struct tcp_info info = {0};
	struct sockaddr_in name = {0};
	int error = 0;
	socklen_t info_size = sizeof(info), name_size = sizeof(name), error_size = sizeof(error);

	syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &info, &info_size);
	syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
	syscall(SYS_getsockname, fd, &name, &name_size);
	return info.tcpi_state == TCP_CLOSE && error == 0 && name.sin_port == 0;
}

static void close_nothing(const char *way)
{
	pid_t child;

	if (strcmp(way, "dup2_of_nothing") == 0 && (dup2(1000, fd) >= 0 || errno != EBADF))
		puts("dup2?");
	if (strcmp(way, "dup3_flags") == 0 && (dup3(0, fd, 1) >= 0 || errno != EINVAL))
		puts("dup3?");
	if (strcmp(way, "vfork") == 0) {
		child = vfork();
		if (child == 0) {
			close(fd);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	if (strcmp(way, "fork") == 0) {
		child = fork();
		if (child == 0) {
			close(fd);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

static void ask_who(void)
{
	struct pollfd one = {.fd = fd, .events = POLLOUT};
	char answer[64] = "";
	int error = 0;
	socklen_t size = sizeof(error);

	poll(&one, 1, 5000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error || send(fd, "WHO\n", 4, MSG_NOSIGNAL) != 4) {
		puts(strerror(error ? error : errno));
		return;
	}
	one.events = POLLIN;
	poll(&one, 1, 5000);
	recv(fd, answer, sizeof(answer) - 1, 0);
	fputs(answer, stdout);
}

int main(int argc, char **argv)
{
	static const char *const closes[] = {"close", "dup2", "dup3", "close_range", "closefrom"};
	struct sockaddr_in target = {.sin_family = AF_INET};
	pthread_t thread;

	if (argc != 5)
		return 2;
	inet_pton(AF_INET, argv[2], &target.sin_addr);
	target.sin_port = htons((uint16_t)atoi(argv[3]));
	fd = fresh_socket();
	if (connect(fd, (struct sockaddr *)&target, sizeof(target)) == 0 || errno != EINPROGRESS)
		return 3;
	for (unsigned i = 0; i < sizeof(closes) / sizeof(closes[0]); i++) {
		if (strcmp(argv[1], closes[i]) != 0)
			continue;
		pthread_create(&thread, NULL, wait_for_it, NULL);
		usleep((useconds_t)atoi(argv[4]) * 1000);
		give_away(argv[1]);
		usleep(200000);
		puts(is_fresh() ? "fresh" : "foreign");
		return 0;
	}
	close_nothing(argv[1]);
	ask_who();
	return 0;
}
