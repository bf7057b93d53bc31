// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox VIP PORT WHEN SCOPE ACTION [OTHER]: connects, locks itself in by a seccomp filter that
 * allows nothing but what it needs itself for a connection, and goes on to connect. A line for each
 * connection: the pod that answered, or the error. Between them it waits for SIGUSR1, then at the
 * end prints how much of a CPU the process took while it slept for 300 ms, ms.
 *
 * WHEN: before (the first connection of all comes after the filter), after.
 * SCOPE: self (prctl), all (SECCOMP_FILTER_FLAG_TSYNC).
 * ACTION, on any other call: errno (EPERM), kill (the process), trap (SIGSYS, unhandled).
 * OTHER: where it connects to from then on, another VIP with the same port.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "filter.h"

#define BEFORE 3
#define AFTER  9

static struct sockaddr_in vip;

static const struct filter_rule allowed[] = {
	{SYS_socket, SECCOMP_RET_ALLOW},	  {SYS_connect, SECCOMP_RET_ALLOW},
	{SYS_getsockopt, SECCOMP_RET_ALLOW},	  {SYS_read, SECCOMP_RET_ALLOW},
	{SYS_write, SECCOMP_RET_ALLOW},		  {SYS_close, SECCOMP_RET_ALLOW},
	{SYS_clock_gettime, SECCOMP_RET_ALLOW},	  {SYS_clock_nanosleep, SECCOMP_RET_ALLOW},
	{SYS_rt_sigtimedwait, SECCOMP_RET_ALLOW}, {SYS_rt_sigreturn, SECCOMP_RET_ALLOW},
	{SYS_exit_group, SECCOMP_RET_ALLOW},
};

static void ask(int count)
{
	while (count-- > 0) {
		char name[64];
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		ssize_t got = -1;

		if (connect(fd, (struct sockaddr *)&vip, sizeof(vip)) == 0 &&
		    write(fd, "WHO\n", 4) == 4)
			got = read(fd, name, sizeof(name));
		if (got <= 0)
			got = snprintf(name, sizeof(name), "errno %d\n", errno);
		if (write(1, name, (size_t)got) < 0)
			exit(1);
		close(fd);
	}
}

static long cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint32_t action_of(const char *name)
{
	if (strcmp(name, "kill") == 0)
		return SECCOMP_RET_KILL_PROCESS;
	if (strcmp(name, "trap") == 0)
		return SECCOMP_RET_TRAP;
	return SECCOMP_RET_ERRNO | EPERM;
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 300000000};
	sigset_t go_on;
	unsigned flags;
	char line[64];
	long before;

	if (argc < 6)
		return 2;
	flags = strcmp(argv[4], "all") == 0 ? SECCOMP_FILTER_FLAG_TSYNC : 0;
	vip.sin_family = AF_INET;
	vip.sin_port = htons((uint16_t)atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &vip.sin_addr) != 1)
		return 2;
	sigemptyset(&go_on);
	sigaddset(&go_on, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go_on, NULL);
	if (strcmp(argv[3], "after") == 0)
		ask(BEFORE);
	if (filter_install(allowed, sizeof(allowed) / sizeof(allowed[0]), action_of(argv[5]),
			   flags) < 0) {
		perror("seccomp");
		return 1;
	}
	if (argc > 6 && inet_pton(AF_INET, argv[6], &vip.sin_addr) != 1)
		return 2;
	if (write(1, "filtered\n", 9) != 9)
		return 1;
	ask(AFTER);
	if (write(1, "waiting\n", 8) != 8)
		return 1;
	while (sigwaitinfo(&go_on, NULL) < 0)
		;
	ask(AFTER);
	before = cpu_ms();
	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	snprintf(line, sizeof(line), "%ld\n", cpu_ms() - before);
	return write(1, line, strlen(line)) < 0;
}
