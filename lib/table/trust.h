/* Whom a program believes: whose sockets and files, at a path that nobody else could have prepared.
 */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_TRUST_H
#define K8SLB_TABLE_TRUST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes in which a path must fit with its NUL: hooks have small stacks. */
#define TRUST_PATH_SIZE 512u

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

/* As whom the kernel shows each user that this user namespace does not know. */
#define TRUST_OVERFLOW_USER 65534u

/* There is none. */
bool trust_knows_all_users(void);

/*
 * Nobody but who is believed could have put anything else at any part of @path, an absolute one,
 * before its last: each is a directory of theirs that no others may write to, or one with the
 * sticky bit, in which they may rename what is theirs alone; a link is none. Returns 0, -EPERM,
 * -ENOTDIR, or another -errno.
 */
int trust_directories(const struct trust *trust, const char *path);

/* The same, but others may write to the last directory: for a file that trust_file() looks at. */
int trust_folder(const struct trust *trust, const char *path);

/* A symbolic link at @path that nobody but who is believed could have put there. */
bool trust_link(const struct trust *trust, const char *path);

/* What was opened, without following a link, is a device, or of who is believed and has no other
 * name, by which somebody could have brought it from elsewhere. */
bool trust_file(const struct trust *trust, int fd);

/*
 * The socket at @path is of who is believed. So are its directories, unless a user is named: that
 * user alone could listen at it, and whoever listens is asked for later (SO_PEERCRED). Returns 0;
 * -EPERM; -ENOTSOCK; or another -errno.
 */
int trust_socket(const struct trust *trust, const char *path);

#endif
