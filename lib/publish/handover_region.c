// SPDX-License-Identifier: Apache-2.0
#include "publish/handover_region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/raw_calls.h"
#include "base/raw_syscall.h"
#include "table/handover.h"

/* linux/fcntl.h: younger than the oldest headers that we build with. */
#ifndef F_ADD_SEALS
#define F_ADD_SEALS   1033
#define F_SEAL_SEAL   0x0001
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW   0x0004
#endif
#define SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */

/* After the writable mapping was made: the last seal keeps all others from making one. */
static int seal(int fd)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	if (fcntl(fd, F_ADD_SEALS, seals | SEAL_FUTURE_WRITE) < 0 &&
	    (errno != EINVAL || fcntl(fd, F_ADD_SEALS, seals) < 0))
		return -errno;
	return 0;
}

/* A reader could map a descriptor that is open for writing to write, and open one that is not
 * anew where the mode lets it. */
static int reopen_read_only(int fd)
{
	char path[sizeof("/proc/self/fd/") + 16];
	int read_only;

	if (fchmod(fd, 0444) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	return read_only < 0 ? -errno : read_only;
}

int handover_region_new(size_t arena_size, struct region *ret_region, int *ret_fd)
{
	struct region region;
	int fd = region_new_file(arena_size, &region);
	int rc;

	if (fd < 0)
		return fd;
	rc = seal(fd);
	if (rc == 0)
		rc = reopen_read_only(fd);
	k8slb_raw_close(fd);
	if (rc < 0) {
		region_free(&region);
		return rc;
	}
	*ret_region = region;
	*ret_fd = rc;
	return 0;
}

int handover_send(int client, int table_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	uint64_t magic = HANDOVER_MAGIC;
	struct iovec part = {.iov_base = &magic, .iov_len = sizeof(magic)};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &table_fd, sizeof(table_fd));
	return raw_syscall(SYS_sendmsg, client, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno
											  : 0;
}
