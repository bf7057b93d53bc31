// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"
#include "cli.h"
#include "table/handover.h"
#include "table/trust.h"

#define COMMAND "agent"

static int failed(const char *what, const char *path)
{
	int rc = -errno;

	cli_error(COMMAND, "give --table a path in a directory that this user may write to",
		  "%s %s: %s", what, path, strerror(-rc));
	return rc;
}

static int refused(const char *what, const char *path, const char *reason)
{
	cli_error(COMMAND, "remove it, or give --table another path", "%s %s: %s", what, path, reason);
	return -EPERM;
}

/* What lies there may be somebody's who waited for an agent: root's and our own is believed. */
static int check_owner(int fd, const char *what, const char *path, bool is_lock)
{
	struct stat status;
	char reason[64];

	if (fstat(fd, &status) < 0)
		return failed(what, path);
	if (status.st_uid != 0 && status.st_uid != geteuid()) {
		snprintf(reason, sizeof(reason), "belongs to user %u", (unsigned)status.st_uid);
		return refused(what, path, reason);
	}
	if (is_lock && !S_ISREG(status.st_mode))
		return refused(what, path, "is no file");
	if (is_lock && status.st_mode & (S_IRWXG | S_IRWXO))
		return refused(what, path, "others may use it");
	return 0;
}

static void directory_of(const char *path, char directory[HANDOVER_PATH_SIZE])
{
	size_t length = (size_t)(strrchr(path, '/') - path);

	memcpy(directory, path, length);
	directory[length] = '\0';
	if (!length)
		strcpy(directory, "/");
}

static int open_directory(const char *path)
{
	char directory[HANDOVER_PATH_SIZE];
	bool made;
	int fd;
	int rc;

	directory_of(path, directory);
	made = mkdir(directory, 0755) == 0;
	if (!made && errno != EEXIST)
		return failed("the directory", directory);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed("the directory", directory);
	rc = check_owner(fd, "the directory", directory, false);
	/* Whatever the umask: readers are other users. --mode says who may connect. */
	if (rc == 0 && made && fchmod(fd, 0755) < 0)
		rc = failed("the directory", directory);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

/* It was not moved away since, with another one in its place. */
static int check_directory(const struct agent_socket *own)
{
	char directory[HANDOVER_PATH_SIZE];
	struct stat opened;
	struct stat found;

	directory_of(own->path, directory);
	if (fstat(own->directory, &opened) < 0 || lstat(directory, &found) < 0)
		return failed("the directory", directory);
	return opened.st_dev == found.st_dev && opened.st_ino == found.st_ino
		       ? 0
		       : refused("the directory", directory, "is another one by now");
}

/* A lock of fcntl(2), which ends with the process however it ends. */
static int take_lock(const char *path, int directory, const char *name)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char lock[256];
	int fd;
	int rc;

	snprintf(lock, sizeof(lock), "%s.lock", name);
	fd = openat(directory, lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return failed("the lock beside", path);
	rc = check_owner(fd, "the lock beside", path, true);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	if (fcntl(fd, F_SETLK, &whole) == 0)
		return fd;
	if (errno == EACCES || errno == EAGAIN) {
		cli_error(COMMAND, "end that one, or give --table another path",
			  "another agent serves %s", path);
		errno = EBUSY;
	} else {
		failed("the lock beside", path);
	}
	close(fd);
	return -EBUSY;
}

static int check_free(const char *path, int directory, const char *name)
{
	struct stat status;

	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed("the socket", path);
	if (S_ISSOCK(status.st_mode))
		return 0;
	cli_error(COMMAND, "remove it, or give --table another path",
		  "%s is there and is not a socket", path);
	return -EEXIST;
}

int agent_socket_take(const char *path, struct agent_socket *ret_socket)
{
	struct agent_socket taken = {.path = path, .directory = open_directory(path)};
	int rc = taken.directory;

	if (rc >= 0) {
		snprintf(taken.name, sizeof(taken.name), "%s", strrchr(path, '/') + 1);
		rc = check_free(path, taken.directory, taken.name);
	}
	if (rc >= 0)
		rc = taken.lock = take_lock(path, taken.directory, taken.name);
	if (rc < 0) {
		if (taken.directory >= 0)
			close(taken.directory);
		return rc;
	}
	*ret_socket = taken;
	return 0;
}

/* The file has its rights from its first moment on. chmod() would follow a link that somebody put
 * in its place meanwhile. */
static int bind_with_mode(int fd, const struct sockaddr_un *address, unsigned mode)
{
	mode_t before = umask(0777 & ~mode); /* no other thread makes files */
	int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	umask(before);
	return rc;
}

bool agent_socket_is_ours_alone(const struct agent_socket *own)
{
	const struct trust trust = {.user = geteuid(), .named = TRUST_NO_USER};

	return trust_directories(&trust, own->path) == 0;
}

/* In the directory that was looked at, whatever the path leads to by now. */
int agent_socket_listen(const struct agent_socket *own, unsigned mode)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat lock;
	char new[32]; /* before it is renamed; short, and no other agent's */
	int rc = check_directory(own);
	int fd;

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failed("the socket", own->path);
	if (fstat(own->lock, &lock) < 0) {
		rc = failed("the lock beside", own->path);
		close(fd);
		return rc;
	}
	snprintf(new, sizeof(new), ".%llx.new", (unsigned long long)lock.st_ino);
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", own->directory,
		 new);
	unlinkat(own->directory, new, 0);
	if (bind_with_mode(fd, &address, mode) < 0 || listen(fd, SOMAXCONN) < 0 ||
	    renameat(own->directory, new, own->directory, own->name) < 0) {
		rc = failed("the socket", own->path);
		close(fd);
		return rc;
	}
	return fd;
}

bool agent_socket_is_there(const struct agent_socket *own)
{
	struct stat status;

	return lstat(own->path, &status) == 0 || errno != ENOENT;
}

void agent_socket_leave(const struct agent_socket *own)
{
	unlinkat(own->directory, own->name, 0);
}
