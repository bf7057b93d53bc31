// SPDX-License-Identifier: Apache-2.0
/*
 * limited VIP PORT RESOURCE VALUE CHANGE: connects a few times, lowers RLIMIT_RESOURCE (as, data,
 * stack, nofile, memlock) to VALUE, prints "limited", and goes on to connect until the pod CHANGE
 * has answered or two seconds are over. A line for each connection: the pod that answered, or the
 * error. VALUE for as and data: bytes above what is used by then. At the end the time that the
 * process took of a CPU while it slept for 300 ms, ms.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BEFORE	   3
#define AFTER	   9
#define PATIENCE_S 2

static struct sockaddr_in vip;

static void ask(char *ret_name, size_t size)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t got = -1;

	if (fd >= 0 && connect(fd, (struct sockaddr *)&vip, sizeof(vip)) == 0 &&
	    write(fd, "WHO\n", 4) == 4)
		got = read(fd, ret_name, size - 1);
	if (got <= 0)
		got = snprintf(ret_name, size, "%s\n", strerror(errno));
	ret_name[got] = '\0';
	if (fd >= 0)
		close(fd);
	/* No buffer: what needs memory later might fail. */
	if (write(1, ret_name, strlen(ret_name)) < 0)
		exit(1);
}

/* VmSize or VmData of this process, bytes. */
static rlim_t used(const char *name)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");
	rlim_t kib = 0;

	while (status && fgets(line, sizeof(line), status)) {
		if (strncmp(line, name, strlen(name)) == 0)
			kib = (rlim_t)strtoul(line + strlen(name), NULL, 10);
	}
	if (status)
		fclose(status);
	return kib * 1024;
}

static int limit(const char *resource, rlim_t value)
{
	struct rlimit limits = {value, value};

	if (strcmp(resource, "as") == 0) {
		limits.rlim_cur += used("VmSize:");
		limits.rlim_max = limits.rlim_cur;
		return setrlimit(RLIMIT_AS, &limits);
	}
	if (strcmp(resource, "data") == 0) {
		limits.rlim_cur += used("VmData:");
		limits.rlim_max = limits.rlim_cur;
		return setrlimit(RLIMIT_DATA, &limits);
	}
	if (strcmp(resource, "stack") == 0)
		return setrlimit(RLIMIT_STACK, &limits);
	if (strcmp(resource, "nofile") == 0)
		return setrlimit(RLIMIT_NOFILE, &limits);
	if (strcmp(resource, "memlock") == 0)
		return setrlimit(RLIMIT_MEMLOCK, &limits);
	errno = EINVAL;
	return -1;
}

static long cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	char name[64] = "";
	char line[64];
	time_t deadline;
	long before;

	if (argc != 6)
		return 2;
	vip.sin_family = AF_INET;
	vip.sin_port = htons((uint16_t)atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &vip.sin_addr) != 1)
		return 2;
	for (int i = 0; i < BEFORE; i++)
		ask(name, sizeof(name));
	if (limit(argv[3], (rlim_t)strtoul(argv[4], NULL, 10)) < 0) {
		perror("setrlimit");
		return 1;
	}
	if (write(1, "limited\n", 8) != 8)
		return 1;
	deadline = time(NULL) + PATIENCE_S;
	for (int i = 0;
	     i < AFTER || (strncmp(name, argv[5], strlen(argv[5])) != 0 && time(NULL) <= deadline);
	     i++) {
		ask(name, sizeof(name));
		poll(NULL, 0, 5);
	}
	before = cpu_ms();
	poll(NULL, 0, 300);
	snprintf(line, sizeof(line), "%ld\n", cpu_ms() - before);
	return write(1, line, strlen(line)) < 0;
}
