// SPDX-License-Identifier: Apache-2.0
/*
 * become_daemon HOST PORT HOW DELAY_US: a thread connects; so long after its start the program
 * becomes a daemon by daemon(3) or by two forks. The daemon closes that socket, asks 6 times,
 * prints "end PID" and stays, to be looked at, until SIGTERM.
 *   HOW: daemon, double-fork, or either with -closing: closes every descriptor above 2 before, as
 *        daemons do.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "pods.h"

static struct sockaddr_in vip;

static void *connect_once(void *fd)
{
	/* Whether it works is of no interest: the socket may be closed by then. */
	(void)connect(*(const int *)fd, (const struct sockaddr *)&vip, sizeof(vip));
	return NULL;
}

static void fork_twice(void)
{
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			exit(1);
		if (pid > 0)
			_exit(0);
		setsid();
	}
	umask(0);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	sigset_t wanted;
	char pid[16];
	int number;
	int first;

	if (argc != 5)
		return 2;
	vip = pods_address(argv[1], argv[2]);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	first = socket(AF_INET, SOCK_STREAM, 0);
	pthread_create(&thread, NULL, connect_once, &first);
	pods_pause_us(atol(argv[4]));
	if (strstr(argv[3], "-closing")) {
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
	}
	if (strncmp(argv[3], "daemon", strlen("daemon")) == 0) {
		/* Keeps the working directory and standard output, which the test reads. */
		if (daemon(1, 1) < 0)
			return 1;
	} else {
		fork_twice();
	}
	close(first);
	alarm(PODS_WATCHDOG_S);
	pods_ask(&vip, "daemon", 6);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	pods_say("end", pid);
	sigwait(&wanted, &number);
	return 0;
}
