// SPDX-License-Identifier: Apache-2.0
/*
 * bad_pointers: calls that wait, and getsockopt(SO_ERROR), are given memory that is not there, or is only to be read. Prints a line
 * for each: what was bad, and errno or the result. Not what libc itself reads: the times of ppoll(), select() and pselect().
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell(const char *what, const char *memory, int rc)
{
	printf("%s, %s: %s\n", what, memory, rc < 0 ? strerrorname_np(errno) : "success");
}

/* @memory: a page. */
static void use(const char *name, void *memory, int queue, int ready)
{
	struct epoll_event event;
	struct timeval none = {0, 0};
	struct pollfd one = {.fd = ready, .events = POLLIN};
	struct timespec soon = {.tv_nsec = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;
	socklen_t size = sizeof(error);
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ready, &set);
	tell("poll", name, poll(memory, 1, 0));
	tell("poll for a time", name, poll(memory, 1, 1));
	tell("ppoll", name, ppoll(memory, 1, &soon, NULL));
	tell("ppoll: mask", name, ppoll(&one, 1, &soon, memory));
	tell("select: read", name, select(ready + 1, memory, NULL, NULL, &none));
	tell("select: write", name, select(ready + 1, &set, memory, NULL, &none));
	tell("select: except", name, select(ready + 1, NULL, NULL, memory, &none));
	tell("select: many", name, select(1000000, memory, NULL, NULL, &none));
	FD_SET(ready, &set);
	tell("pselect: set", name, pselect(ready + 1, memory, NULL, NULL, &soon, NULL));
	tell("pselect: mask", name, pselect(ready + 1, &set, NULL, NULL, &soon, memory));
	tell("epoll_wait", name, epoll_wait(queue, memory, 1, 0));
	tell("epoll_wait for a time", name, epoll_wait(queue, memory, 1, 1));
	tell("epoll_pwait", name, epoll_pwait(queue, memory, 1, 0, NULL));
	tell("epoll_pwait: mask", name, epoll_pwait(queue, &event, 1, 0, memory));
	tell("epoll_pwait2", name, epoll_pwait2(queue, memory, 1, &soon, NULL));
	tell("epoll_pwait2: time", name, epoll_pwait2(queue, &event, 1, memory, NULL));
	tell("epoll_pwait2: mask", name, epoll_pwait2(queue, &event, 1, &soon, memory));
	tell("epoll_ctl", name, epoll_ctl(queue, EPOLL_CTL_MOD, ready, memory));
	tell("getsockopt: value", name, getsockopt(fd, SOL_SOCKET, SO_ERROR, memory, &size));
	tell("getsockopt: size", name, getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, memory));
	close(fd);
}

int main(void)
{
	int queue = epoll_create1(EPOLL_CLOEXEC), ready = eventfd(1, EFD_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	void *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *constant = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	setvbuf(stdout, NULL, _IOLBF, 0); /* what was told before a crash is told */
	epoll_ctl(queue, EPOLL_CTL_ADD, ready, &event);
	use("nowhere", (void *)8, queue, ready);
	use("a page without rights", none, queue, ready);
	use("a page to be read", constant, queue, ready);
	tell("poll", "more than there are", poll(constant, 1000000000, 0));
	tell("epoll_wait", "none at all", epoll_wait(queue, &event, 0, 0));
	tell("epoll_wait", "no epoll", epoll_wait(ready, &event, 1, 0));
	tell("select", "less than none", select(-1, NULL, NULL, NULL, NULL));
	return 0;
}
