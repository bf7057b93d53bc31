/* Fuzzes lib/table/handover.c: whatever listens at the path sends anything, with any descriptors.
 */
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/table_walk.h"
#include "table/handover.h"
#include "table/trust.h"

#define TABLE_SIZE (TABLE_HEADER_SIZE + TABLE_ARENAS * TABLE_ARENA_MIN)
#define FDS_MAX	   6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int listener = -1;
static char path[64];

/* What the agent of this input sends. */
static struct {
	const uint8_t *message;
	size_t size;
	int fds[FDS_MAX];
	unsigned fd_count;
	bool silent;
} answer;

static void remove_path(void)
{
	unlink(path);
}

static void listen_once(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (listener >= 0)
		return;
	snprintf(path, sizeof(path), "/tmp/k8slb-fuzz-handover-%d", (int)getpid());
	unlink(path);
	strcpy(address.sun_path, path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 8) < 0)
		abort();
	atexit(remove_path);
}

static void *serve(void *unused)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(answer.fds))];
	} control = {.bytes = {0}};
	struct iovec part = {
		.iov_base = (void *)(uintptr_t)answer.message,
		.iov_len = answer.size,
	};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	int client;

	(void)unused;
	if (answer.fd_count) {
		struct cmsghdr *first;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(answer.fd_count * sizeof(int));
		first = CMSG_FIRSTHDR(&header);
		first->cmsg_level = SOL_SOCKET;
		first->cmsg_type = SCM_RIGHTS;
		first->cmsg_len = CMSG_LEN(answer.fd_count * sizeof(int));
		memcpy(CMSG_DATA(first), answer.fds, answer.fd_count * sizeof(int));
	}
	/* The first time the reader only looks who listens. */
	for (int i = 0; i < 2; i++) {
		client = accept(listener, NULL, NULL);
		if (client < 0)
			abort();
		if (!answer.silent)
			(void)!sendmsg(client, &header, MSG_NOSIGNAL);
		close(client);
	}
	return NULL;
}

enum {
	FILE_OF_A_TABLE = 1, /* as large as a table; else as large as the input */
	FILE_SEALED = 2,     /* against shrinking */
	FILE_ANY_HEADER = 4, /* the input begins with the header; else the header is good */
	AGENT_IS_SILENT = 8,
};

/* A file with the input where the first arena is. */
static int make_file(const uint8_t *data, size_t size, unsigned flags)
{
	struct table_header header = {
		.magic = TABLE_MAGIC,
		.version = TABLE_VERSION,
		.arena_count = TABLE_ARENAS,
		.arena_size = TABLE_ARENA_MIN,
		.current = 1 << 8,
	};
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t length = flags & FILE_OF_A_TABLE ? TABLE_SIZE : size;

	if (flags & FILE_ANY_HEADER) {
		size_t taken = size < sizeof(header) ? size : sizeof(header);

		memcpy(&header, data, taken);
		data += taken;
		size -= taken;
	}
	if (fd < 0 || ftruncate(fd, (off_t)length) < 0 ||
	    pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    pwrite(fd, data, size, TABLE_HEADER_SIZE) != (ssize_t)size)
		abort();
	if (flags & FILE_SEALED)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	return fd;
}

static void use(struct handover_table *table)
{
	static const struct ip_address vip = {
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 96, 0, 1}};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	table_walk(&table->view, &vip, 80);
	table_has_beat(&table->view);
	handover_blank(table);
	table_walk(&table->view, &vip, 80);
	munmap(table, page + table->size);
}

/* Byte 0: what the file and the agent are (FILE_OF_A_TABLE ..), byte 1: how many descriptors, byte
 * 2: how long a message; then the message, then the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handover_table *table;
	unsigned flags, count;
	pthread_t agent;
	int before, after;

	if (size < 3)
		return 0;
	listen_once();
	flags = data[0];
	count = data[1] % (FDS_MAX + 1);
	answer.size = data[2];
	data += 3;
	size -= 3;
	if (answer.size > size)
		answer.size = size;
	answer.message = data;
	answer.silent = flags & AGENT_IS_SILENT;
	before = dup(listener);
	close(before);
	for (answer.fd_count = 0; answer.fd_count < count; answer.fd_count++)
		answer.fds[answer.fd_count] =
			make_file(data + answer.size, size - answer.size, flags);
	if (pthread_create(&agent, NULL, serve, NULL) != 0)
		abort();
	if (handover_receive(path, TRUST_NO_USER, 1000, NULL, &table) == 0)
		use(table);
	pthread_join(agent, NULL);
	for (unsigned i = 0; i < answer.fd_count; i++)
		close(answer.fds[i]);
	/* Whatever came, no descriptor of it is left. */
	after = dup(listener);
	close(after);
	if (after != before)
		abort();
	return 0;
}
