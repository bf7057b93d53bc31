/* Which agent a reader believes: whose socket, at a path that nobody else could have prepared. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_TRUST_H
#define K8SLB_TABLE_TRUST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes in which a path must fit with its NUL: those of sockaddr_un. */
#define TRUST_PATH_SIZE 108u

/* No user has it (-1 means "no change" to chown(2) and its kin). */
#define TRUST_NO_USER UINT32_MAX

/*
 * Whom a program believes: root and its own user, or the one that is named and no other.
 *
 * Never user 65534 where a user namespace does not map all ids: the kernel shows every user by that
 * number whom the namespace does not know (user_namespaces(7), overflow ids).
 */
struct trust {
	uid_t user;
	uid_t named; /* K8SLB_TABLE_UID, or TRUST_NO_USER */
};

/* System calls only: no malloc, no lock; async-signal-safe. */

bool trust_user(const struct trust *trust, uid_t uid);

/*
 * Nobody but who is believed could have put anything else at any part of @path, an absolute one,
 * before its last: each is a directory of theirs that no others may write to, or one with the sticky
 * bit, in which they may rename what is theirs alone; a link is none. Returns 0, -EPERM, -ENOTDIR, or
 * another -errno.
 */
int trust_directories(const struct trust *trust, const char *path);

/*
 * The socket at @path is of who is believed. So are its directories, unless a user is named: that user
 * alone could listen at it, and whoever listens is asked for later (SO_PEERCRED). No part of it may be a link then.
 * Returns 0; -EPERM; -ENOTSOCK; or another -errno.
 */
int trust_socket(const struct trust *trust, const char *path);

#endif
