// SPDX-License-Identifier: Apache-2.0
#include "table/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/raw_syscall.h"

#define OVERFLOW_ID 65534

/* The one line of a namespace that leaves nobody out: "         0          0 4294967295". */
static bool all_users_are_known(void)
{
	static const char all[] = " 4294967295\n";
	char text[256];
	int fd = (int)raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/uid_map",
				  O_RDONLY | O_CLOEXEC, 0);
	long length;

	if (fd < 0)
		return false;
	length = raw_syscall(SYS_read, fd, text, sizeof(text));
	raw_syscall(SYS_close, fd);
	return length >= (long)sizeof(all) - 1 &&
	       memcmp(text + length - (sizeof(all) - 1), all, sizeof(all) - 1) == 0;
}

bool trust_user(const struct trust *trust, uid_t uid)
{
	bool believed = trust->named != TRUST_NO_USER ? uid == trust->named
						      : uid == 0 || uid == trust->user;

	return believed && (uid != OVERFLOW_ID || all_users_are_known());
}

static int look(const char *path, struct stat *ret_status)
{
	return raw_syscall(SYS_newfstatat, AT_FDCWD, path, ret_status, AT_SYMLINK_NOFOLLOW) < 0
		       ? -errno
		       : 0;
}

static int check_directory(const struct trust *trust, const char *path)
{
	struct stat status;
	int rc = look(path, &status);

	if (rc < 0)
		return rc;
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	if (!trust_user(trust, status.st_uid) ||
	    (status.st_mode & (S_IWGRP | S_IWOTH) && !(status.st_mode & S_ISVTX)))
		return -EPERM;
	return 0;
}

/* From the root on: what was looked at stays what it is while the next part is. */
int trust_directories(const struct trust *trust, const char *path)
{
	char part[TRUST_PATH_SIZE];
	size_t length = strlen(path);
	int rc = 0;

	if (length >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, length + 1);
	for (size_t at = 0; rc == 0 && at < length; at++) {
		if (path[at] != '/')
			continue;
		part[at ? at : 1] = '\0';
		rc = check_directory(trust, part);
		part[at ? at : 1] = path[at ? at : 1];
	}
	return rc;
}

int trust_socket(const struct trust *trust, const char *path)
{
	struct stat status;
	int rc = trust->named == TRUST_NO_USER ? trust_directories(trust, path) : 0;

	if (rc == 0)
		rc = look(path, &status);
	if (rc < 0)
		return rc;
	if (!S_ISSOCK(status.st_mode))
		return -ENOTSOCK;
	return trust_user(trust, status.st_uid) ? 0 : -EPERM;
}
