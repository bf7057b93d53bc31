/* How an agent's table comes to its readers: by a descriptor, through a socket in the file system.
 */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_HANDOVER_H
#define K8SLB_TABLE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "table/layout.h"
#include "table/reader.h"

/*
 * The readers are programs of other Pods and other users, so the table is no file that somebody
 * could cut while it is mapped (SIGBUS), nor a System V segment, which is of one IPC namespace. It
 * is a memfd that can neither shrink nor grow (fcntl(2), F_ADD_SEALS), and a new one when it is
 * outgrown.
 *
 * At a path listens a socket of AF_UNIX and SOCK_SEQPACKET. Whoever connects gets one message, this
 * word with one read-only descriptor (SCM_RIGHTS), and the end of the connection. The agent reads
 * nothing.
 */
#define HANDOVER_MAGIC 0x3244484c53384bULL /* "K8SLHD2" little endian */

/* What follows is the readers' side (the agent's: publish/handover_region.h): system calls only, no
 * malloc, no lock, errno kept; async-signal-safe. */

/* A table that was handed over. The memory that it lies in stays for the life of the process. */
struct handover_table {
	struct table_view view;
	size_t size; /* of the mapping from the header on */
	dev_t device;
	ino_t inode;
};

/*
 * Asks the agent at @path (absolute) for its table and maps it, within @limit_ms. Where it is the
 * same file as @current's (NULL: none), *@ret_table is @current.
 *
 * Who is believed: trust.h, with @agents_user as the named one; the socket must be theirs, and the
 * process that listens, too.
 * Nothing can be sent to this process by whoever is not believed.
 * What is believed: exactly one descriptor of a file in memory (tmpfs) that is sealed against
 * shrinking, with a table of this layout in which something was published.
 *
 * Returns 0; -ENOENT, -ECONNREFUSED: no agent there; -EPERM: somebody else's; -ETIMEDOUT; -EBADMSG:
 * no such table; or another -errno.
 */
int handover_receive(const char *path, uid_t agents_user, uint32_t limit_ms,
		     struct handover_table *current, struct handover_table **ret_table);

/*
 * Gives the memory of a table back that a reader may still be looking at: from now on there are
 * zeros, in which every look-up fails. The addresses stay taken.
 */
void handover_blank(struct handover_table *table);

/* Unmaps a table that no reader has seen yet. */
void handover_discard(struct handover_table *table);

/* Bytes in which a path must fit with its NUL: sockaddr_un's. */
#define HANDOVER_PATH_SIZE 108u

#endif
