// SPDX-License-Identifier: Apache-2.0
/*
 * close_storm VIP PORT DIR HOW ROUNDS [only]: starts a connection, closes all descriptors from 3
 * on, ROUNDS times and (without "only") until another than "vip" has answered, and each time opens
 * files and socket pairs on the numbers that became free, which must be just those. What it wrote
 * is what it must read there, byte for byte, at the end of each round. Prints the answers of the
 * last six connections, and the numbers of threads and descriptors.
 *
 * HOW: closefrom, close_range, raw (system call), loop (close() of each number), proc (those that
 * /proc/self/fd lists).
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FIRST	  3
#define LOW_FILES 24
/* Numbers to which a library would move its own, out of the way of the program's. */
#define HIGH	       512
#define HIGH_FILES     16
#define PAIRS	       8
#define FIRST_PAIR     (FIRST + LOW_FILES)
#define BLOCK	       512
#define DEADLINE_S     20
#define LAST_QUESTIONS 6

static struct sockaddr_in vip;
static struct stat identity[HIGH + HIGH_FILES];

static void fail(const char *what, int fd)
{
	printf("%s at descriptor %d: %s\n", what, fd, strerror(errno));
	exit(1);
}

static int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = -3; /* ".", ".." and the directory's own */

	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

static void close_listed(void)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		int fd = atoi(entry->d_name);

		if (fd >= FIRST && fd != dirfd(directory))
			close(fd);
	}
	if (directory)
		closedir(directory);
}

static void close_all(const char *how)
{
	if (strcmp(how, "closefrom") == 0)
		closefrom(FIRST);
	else if (strcmp(how, "close_range") == 0)
		close_range(FIRST, ~0u, 0);
	else if (strcmp(how, "raw") == 0)
		syscall(SYS_close_range, FIRST, ~0u, 0);
	else if (strcmp(how, "proc") == 0)
		close_listed();
	else
		for (int fd = FIRST; fd < 1024; fd++)
			close(fd);
}

static void fill(char *block, int fd, int round)
{
	for (int i = 0; i < BLOCK; i++)
		block[i] = (char)(fd * 7 + round * 13 + i);
}

static void open_files(const char *folder, int first, int count, int round)
{
	char path[4096];
	char block[BLOCK];

	for (int fd = first; fd < first + count; fd++) {
		int got;

		snprintf(path, sizeof(path), "%s/%d", folder, fd);
		got = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (got >= 0 && first != FIRST) {
			int low = got;

			got = fcntl(low, F_DUPFD, first);
			close(low);
		}
		if (got != fd)
			fail("another number", got);
		fill(block, fd, round);
		if (write(fd, block, BLOCK) != BLOCK || fstat(fd, &identity[fd]) < 0)
			fail("write", fd);
	}
}

static void open_pairs(int round)
{
	char block[BLOCK];

	for (int fd = FIRST_PAIR; fd < FIRST_PAIR + 2 * PAIRS; fd += 2) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pair[0] != fd ||
		    pair[1] != fd + 1)
			fail("another number of a pair", fd);
		fill(block, fd, round);
		if (write(pair[0], block, BLOCK) != BLOCK || fstat(fd, &identity[fd]) < 0 ||
		    fstat(fd + 1, &identity[fd + 1]) < 0)
			fail("write to a pair", fd);
	}
}

static void check_identity(int fd)
{
	struct stat now;

	if (fstat(fd, &now) < 0)
		fail("lost", fd);
	if (now.st_ino != identity[fd].st_ino || now.st_dev != identity[fd].st_dev)
		fail("exchanged", fd);
}

static void check_files(int first, int count, int round)
{
	char expected[BLOCK];
	char got[2 * BLOCK];

	for (int fd = first; fd < first + count; fd++) {
		check_identity(fd);
		fill(expected, fd, round);
		if (lseek(fd, 0, SEEK_CUR) != BLOCK)
			fail("moved", fd);
		if (pread(fd, got, sizeof(got), 0) != BLOCK || memcmp(got, expected, BLOCK) != 0)
			fail("other content", fd);
	}
}

static void check_pairs(int round)
{
	char expected[BLOCK];
	char got[2 * BLOCK];

	for (int fd = FIRST_PAIR; fd < FIRST_PAIR + 2 * PAIRS; fd += 2) {
		check_identity(fd);
		check_identity(fd + 1);
		fill(expected, fd, round);
		if (recv(fd + 1, got, sizeof(got), MSG_DONTWAIT) != BLOCK ||
		    memcmp(got, expected, BLOCK) != 0)
			fail("other bytes", fd + 1);
		if (recv(fd, got, sizeof(got), MSG_DONTWAIT) >= 0 || errno != EAGAIN)
			fail("bytes of somebody", fd);
	}
}

static void ask(char *ret_name, size_t size)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t got = -1;

	if (connect(fd, (struct sockaddr *)&vip, sizeof(vip)) == 0 && write(fd, "WHO\n", 4) == 4)
		got = read(fd, ret_name, size - 1);
	if (got <= 0)
		got = snprintf(ret_name, size, "%s\n", strerror(errno));
	ret_name[got] = '\0';
	close(fd);
}

int main(int argc, char **argv)
{
	char name[64] = "";
	time_t deadline = time(NULL) + DEADLINE_S;
	int rounds;

	if (argc < 6)
		return 2;
	vip.sin_family = AF_INET;
	vip.sin_port = htons((uint16_t)atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &vip.sin_addr) != 1)
		return 2;
	rounds = atoi(argv[5]);
	for (int round = 0; round < rounds || (argc == 6 && strcmp(name, "vip\n") == 0); round++) {
		close_all(argv[4]);
		open_files(argv[3], FIRST, LOW_FILES, round);
		open_pairs(round);
		open_files(argv[3], HIGH, HIGH_FILES, round);
		ask(name, sizeof(name));
		/* Some rounds are over at once, some leave time to the others. */
		poll(NULL, 0, round % 4);
		check_files(FIRST, LOW_FILES, round);
		check_pairs(round);
		check_files(HIGH, HIGH_FILES, round);
		if (time(NULL) > deadline)
			break;
	}
	for (int i = 0; i < LAST_QUESTIONS; i++) {
		ask(name, sizeof(name));
		fputs(name, stdout);
	}
	close_all(argv[4]);
	printf("threads %d\n", count_entries("/proc/self/task") + 1);
	printf("descriptors %d\n", count_entries("/proc/self/fd"));
	return 0;
}
