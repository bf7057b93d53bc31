// SPDX-License-Identifier: Apache-2.0
/*
 * timers HOST PORT COUNT FLAGS WHEN: connects COUNT times while SIGALRM and SIGPROF come a thousand
 * times a second and SIGCHLD and SIGPIPE now and then, each with a handler. A line for each
 * connection: who answered, or the error. At the end whether handlers ran, how often one did so on
 * another thread than the program's only one, and whether a connect() was interrupted.
 *
 * FLAGS: restart (SA_RESTART) or interrupt. An interrupted connect() goes on by itself, and the
 * program polls for its end, as connect(2) says.
 * WHEN: early (the timers run before the first connection, and it connects on until another than
 * "vip" has answered), late (the first connection comes before them).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in address;
static atomic_int handled;
static atomic_int elsewhere;
static int interrupted;

static void handle(int number)
{
	int saved_errno = errno;

	(void)number;
	handled++;
	if (syscall(SYS_gettid) != getpid())
		elsewhere++;
	errno = saved_errno;
}

static int finish(int fd)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	interrupted++;
	while (poll(&writable, 1, 5000) < 0)
		;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	errno = error;
	return error ? -1 : 0;
}

/* Whether another than "vip" answered. */
static bool ask(void)
{
	char name[64] = "";
	ssize_t got;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int rc = connect(fd, (struct sockaddr *)&address, sizeof(address));

	if (rc < 0 && errno == EINTR)
		rc = finish(fd);
	if (rc < 0) {
		printf("%s\n", strerror(errno));
	} else {
		while (write(fd, "WHO\n", 4) < 0)
			;
		while ((got = read(fd, name, sizeof(name) - 1)) < 0)
			;
		printf("%.*s", (int)got, name);
	}
	close(fd);
	return strcmp(name, "vip\n") != 0;
}

/* A child that ends at once, and a pipe that nobody reads. */
static void raise_others(void)
{
	int ends[2];
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	while (waitpid(child, NULL, 0) < 0)
		;
	if (pipe(ends) < 0)
		exit(1);
	close(ends[0]);
	if (write(ends[1], "x", 1) > 0)
		exit(1);
	close(ends[1]);
}

int main(int argc, char **argv)
{
	static const int signals[] = {SIGALRM, SIGPROF, SIGVTALRM, SIGCHLD, SIGPIPE};
	struct itimerval often = {{0, 1000}, {0, 1000}};
	struct itimerval never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = handle};

	bool early, balanced = false;

	if (argc != 6)
		return 2;
	early = strcmp(argv[5], "early") == 0;
	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
		return 2;
	action.sa_flags = strcmp(argv[4], "restart") == 0 ? SA_RESTART : 0;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	if (!early)
		ask();
	setitimer(ITIMER_REAL, &often, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	for (int i = 0; i < atoi(argv[3]) || (early && !balanced); i++) {
		balanced = ask();
		if (i % 100 == 0)
			raise_others();
	}
	setitimer(ITIMER_REAL, &never, NULL);
	setitimer(ITIMER_PROF, &never, NULL);
	printf("handlers %s, elsewhere %d, interrupted %s\n", handled ? "some" : "none", elsewhere,
	       interrupted ? "some" : "none");
	return 0;
}
