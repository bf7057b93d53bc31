// SPDX-License-Identifier: Apache-2.0
#include "table/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/libc_compat.h"
#include "base/raw_syscall.h"
#include "table/trust.h"

#ifndef F_GET_SEALS
#define F_GET_SEALS   1034
#define F_SEAL_SHRINK 0x0002
#endif
#define TMPFS 0x01021994 /* TMPFS_MAGIC of linux/magic.h */

/* No message has more (SCM_MAX_FD of the kernel). Those that did not fit would be closed by it. */
#define DESCRIPTORS 253

static void close_raw(int fd)
{
	raw_syscall(SYS_close, fd); /* no cancellation point */
}

/* Who listens, whatever the path says. */
static int check_peer(int socket, const struct trust *trust)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (raw_syscall(SYS_getsockopt, socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	return trust_user(trust, peer.uid) ? 0 : -EPERM;
}

/* ---- The message ---- */

/* A socket that has connected, or -errno. A full queue is no reason to wait: the next call is.
 * @deaf: to which nobody can send anything. */
static int connect_to(const char *path, bool deaf)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = (int)raw_syscall(SYS_socket, AF_UNIX,
				  SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return -errno;
	/* Where it is refused before (gVisor), the second look at the peer has to do. */
	if (deaf)
		raw_syscall(SYS_shutdown, fd, SHUT_RD);
	strcpy(address.sun_path, path); /* ask() has seen that it fits */
	if (raw_syscall(SYS_connect, fd, &address, sizeof(address)) == 0)
		return fd;
	rc = -errno;
	close_raw(fd);
	return rc;
}

/* Before anything is taken in: a message that is on its way belongs to its receiver, who has to
 * close what is in it, read or not. */
static int look_who_listens(const char *path, const struct trust *trust)
{
	int socket = connect_to(path, true);
	int rc = socket < 0 ? socket : check_peer(socket, trust);

	if (socket >= 0)
		close_raw(socket);
	return rc;
}

static int wait_for_message(int socket, uint64_t deadline_ms)
{
	struct pollfd waiting = {.fd = socket, .events = POLLIN};
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t left_ms = now_ms < deadline_ms ? deadline_ms - now_ms : 0;
	struct timespec left = {.tv_sec = (time_t)(left_ms / 1000),
				.tv_nsec = (long)(left_ms % 1000) * 1000000};
	long rc = raw_syscall(SYS_ppoll, &waiting, 1, &left, NULL, 0);

	/* A handler ran, so the program may be in a hurry. */
	if (rc < 0)
		return -errno;
	return rc > 0 ? 0 : -ETIMEDOUT;
}

/* Closes what somebody sent. A socket that lingers would keep close() until its peer has read all.
 */
static void drop(int fd)
{
	const struct linger none = {0};

	raw_syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close_raw(fd);
}

/* The one descriptor of the message, or -1: not what an agent sends. All others are closed. */
static int take_descriptor(struct msghdr *header, bool good)
{
	int table = -1;
	unsigned count = 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		size_t bytes = part->cmsg_len - CMSG_LEN(0);

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + at, sizeof(fd));
			if (count++ == 0 && good)
				table = fd;
			else
				drop(fd);
		}
	}
	if (count > 1 && table >= 0)
		drop(table);
	return count == 1 ? table : -1;
}

/* Takes one message. Returns 1, 0 at the end of all, or -errno. @ret_table: the descriptor of an
 * agent's message, or -1. */
static int receive(int socket, int *ret_table)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int)) +
			   CMSG_SPACE(sizeof(struct ucred))];
	} control;
	uint64_t magic = 0;
	struct iovec part = {.iov_base = &magic, .iov_len = sizeof(magic)};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	long got = raw_syscall(SYS_recvmsg, socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return -errno;
	*ret_table =
		take_descriptor(&header, got == (long)sizeof(magic) && magic == HANDOVER_MAGIC &&
						 !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)));
	/* An empty message has its sender's credentials, and the end has none. */
	return header.msg_controllen > 0;
}

/* Nothing more is let in, and what is there is taken out: close() would drop it as it is. */
static void hang_up(int socket, uint64_t deadline_ms)
{
	int table;

	raw_syscall(SYS_shutdown, socket, SHUT_RDWR);
	while (clock_monotonic_ms() < deadline_ms && receive(socket, &table) > 0) {
		if (table >= 0)
			drop(table);
	}
	close_raw(socket);
}

/* The descriptor of the agent's table, or -errno. */
static int ask(const char *path, const struct trust *trust, uint32_t limit_ms)
{
	uint64_t deadline_ms = clock_monotonic_ms() + limit_ms;
	const int wanted = 1;
	int table = -1;
	int socket;
	int rc = strlen(path) < HANDOVER_PATH_SIZE ? trust_socket(trust, path) : -EINVAL;

	if (rc == 0)
		rc = look_who_listens(path, trust);
	if (rc < 0)
		return rc;
	socket = connect_to(path, false);
	if (socket < 0)
		return socket;
	raw_syscall(SYS_setsockopt, socket, SOL_SOCKET, SO_PASSCRED, &wanted, sizeof(wanted));
	rc = check_peer(socket, trust);
	if (rc == 0)
		rc = wait_for_message(socket, deadline_ms);
	if (rc == 0)
		rc = receive(socket, &table);
	hang_up(socket, deadline_ms);
	if (rc < 0)
		return rc;
	return table >= 0 ? table : -EBADMSG;
}

/* ---- The table ---- */

/* No load from a mapping of it can ever fail. A table on huge pages could, so only tmpfs will do.
 */
static int check_file(int fd, struct stat *ret_status)
{
	struct statfs filesystem;
	struct stat status;
	long seals = raw_syscall(SYS_fcntl, fd, F_GET_SEALS, 0);

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EBADMSG;
	if (raw_syscall(SYS_fstatfs, fd, &filesystem) < 0 || k8slb_fstat(fd, &status) < 0)
		return -errno;
	if (filesystem.f_type != TMPFS || !S_ISREG(status.st_mode) ||
	    status.st_size < (off_t)(TABLE_HEADER_SIZE + TABLE_ARENAS * TABLE_ARENA_MIN) ||
	    status.st_size > (off_t)(TABLE_HEADER_SIZE + TABLE_ARENAS * (uint64_t)TABLE_ARENA_MAX))
		return -EBADMSG;
	*ret_status = status;
	return 0;
}

/* One page of our own for the struct, then the file. */
static int map_table(int fd, const struct stat *status, struct handover_table **ret_table)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = ((size_t)status->st_size + page - 1) & ~(page - 1);
	unsigned char *memory = mmap(NULL, page + size, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct handover_table *table = (struct handover_table *)(void *)memory;
	int rc = 0;

	if (memory == MAP_FAILED)
		return -errno;
	if (mmap(memory + page, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		rc = -errno;
	if (rc == 0)
		rc = table_view_open(memory + page, (size_t)status->st_size, &table->view);
	/* An agent has published before it listens. Pairs with table_writer_publish(). */
	if (rc == 0 && observe_u64(&table->view.header->current) == 0)
		rc = -EBADMSG;
	if (rc < 0) {
		munmap(memory, page + size);
		return rc;
	}
	table->size = size;
	table->device = status->st_dev;
	table->inode = status->st_ino;
	*ret_table = table;
	return 0;
}

int handover_receive(const char *path, uid_t agents_user, uint32_t limit_ms,
		     struct handover_table *current, struct handover_table **ret_table)
{
	KEEP_ERRNO();
	const struct trust trust = {.user = geteuid(), .named = agents_user};
	int fd = ask(path, &trust, limit_ms);
	struct stat status;
	int rc = fd < 0 ? fd : check_file(fd, &status);

	if (rc == 0 && current && status.st_dev == current->device &&
	    status.st_ino == current->inode)
		*ret_table = current;
	else if (rc == 0)
		rc = map_table(fd, &status, ret_table);
	if (fd >= 0)
		drop(fd);
	return rc;
}

void handover_blank(struct handover_table *table)
{
	KEEP_ERRNO();
	union {
		const void *constant;
		void *address;
	} mapping = {.constant = table->view.header};

	/* One step: no reader finds the addresses without memory. */
	mmap(mapping.address, table->size, PROT_READ,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

void handover_discard(struct handover_table *table)
{
	KEEP_ERRNO();

	munmap(table, (size_t)sysconf(_SC_PAGESIZE) + table->size);
}
