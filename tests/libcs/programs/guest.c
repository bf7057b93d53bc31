// SPDX-License-Identifier: Apache-2.0
/*
 * guest HOST PORT COUNT: looks HOST up and connects COUNT times from each of: main, a second
 * thread, a forked child. Prints for each connection who asked, the pod that answered and the peer
 * that getpeername() tells.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *host, *port;
static int count;

static void ask(const char *who)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	char answer[64] = "", text[INET_ADDRSTRLEN];
	int rc = getaddrinfo(host, port, &hints, &found);
	int fd;

	if (rc) {
		printf("%s %s\n", who, gai_strerror(rc));
		return;
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, found->ai_addr, found->ai_addrlen) < 0 || write(fd, "WHO\n", 4) != 4 ||
	    read(fd, answer, sizeof(answer) - 1) < 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &size) < 0) {
		printf("%s %s\n", who, strerror(errno));
	} else {
		answer[strcspn(answer, "\n")] = '\0';
		printf("%s %s %s %u\n", who, answer,
		       inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text)),
		       ntohs(peer.sin_port));
	}
	close(fd);
	freeaddrinfo(found);
}

static void *ask_all(void *who)
{
	for (int i = 0; i < count; i++)
		ask(who);
	return NULL;
}

int main(int argc, char **argv)
{
	static char main_name[] = "main", thread_name[] = "thread", child_name[] = "child";
	pthread_t thread;
	int status;
	pid_t child;

	if (argc != 4)
		return 2;
	host = argv[1];
	port = argv[2];
	count = atoi(argv[3]);
	ask_all(main_name);
	if (pthread_create(&thread, NULL, ask_all, thread_name) != 0)
		return 3;
	pthread_join(thread, NULL);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		ask_all(child_name);
		return 0;
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 4;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 5;
}
