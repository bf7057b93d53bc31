// SPDX-License-Identifier: Apache-2.0
#include "table/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/libc_compat.h"
#include "base/raw_syscall.h"

/* The one line of a namespace that leaves nobody out: "         0          0 4294967295". */
bool trust_knows_all_users(void)
{
	static const char all[] = " 4294967295\n";
	char text[256];
	int fd = (int)raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/uid_map", O_RDONLY | O_CLOEXEC,
				  0);
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

	return believed && (uid != TRUST_OVERFLOW_USER || trust_knows_all_users());
}

static int look(const char *path, struct stat *ret_status)
{
	return raw_syscall(SYS_newfstatat, AT_FDCWD, path, ret_status, AT_SYMLINK_NOFOLLOW) < 0
		       ? -errno
		       : 0;
}

static int check_directory(const struct trust *trust, const char *path, bool others_may_write)
{
	struct stat status;
	int rc = look(path, &status);

	if (rc < 0)
		return rc;
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	if (!trust_user(trust, status.st_uid) || (status.st_mode & (S_IWGRP | S_IWOTH) &&
						  !(status.st_mode & S_ISVTX) && !others_may_write))
		return -EPERM;
	return 0;
}

/* From the root on: what was looked at stays what it is while the next part is. */
static int check_directories(const struct trust *trust, const char *path, bool last_is_open)
{
	char part[TRUST_PATH_SIZE];
	size_t length = strlen(path);
	const char *last = strrchr(path, '/');
	int rc = 0;

	if (length >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, length + 1);
	for (size_t at = 0; rc == 0 && at < length; at++) {
		size_t end = at ? at : 1;

		if (path[at] != '/')
			continue;
		part[end] = '\0';
		rc = check_directory(trust, part, last_is_open && path + at == last);
		part[end] = path[end];
	}
	return rc;
}

int trust_directories(const struct trust *trust, const char *path)
{
	return check_directories(trust, path, false);
}

int trust_folder(const struct trust *trust, const char *path)
{
	return check_directories(trust, path, true);
}

bool trust_link(const struct trust *trust, const char *path)
{
	struct stat status;

	return look(path, &status) == 0 && S_ISLNK(status.st_mode) &&
	       trust_user(trust, status.st_uid) && trust_directories(trust, path) == 0;
}

bool trust_file(const struct trust *trust, int fd)
{
	struct stat status;

	return k8slb_fstat(fd, &status) == 0 &&
	       (S_ISCHR(status.st_mode) ||
		(trust_user(trust, status.st_uid) && status.st_nlink <= 1));
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
