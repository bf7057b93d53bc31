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

#define COMMAND	   "agent"
#define NEW_SUFFIX ".new" /* the socket before it is renamed */

static int failed(const char *what, const char *path)
{
	int rc = -errno;

	cli_error(COMMAND, "%s %s: %s", what, path, strerror(-rc));
	return rc;
}

static int open_directory(const char *path)
{
	char directory[HANDOVER_PATH_SIZE];
	size_t length = (size_t)(strrchr(path, '/') - path);
	bool made;
	int fd;

	memcpy(directory, path, length);
	directory[length] = '\0';
	if (!length)
		strcpy(directory, "/");
	made = mkdir(directory, 0755) == 0;
	if (!made && errno != EEXIST)
		return failed("the directory", directory);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return failed("the directory", directory);
	/* Whatever the umask: readers are other users. --mode says who may connect. */
	if (made && fchmod(fd, 0755) < 0) {
		int rc = failed("the directory", directory);

		close(fd);
		return rc;
	}
	return fd;
}

/* A lock of fcntl(2), which ends with the process however it ends. */
static int take_lock(const char *path, int directory, const char *name)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char lock[256];
	int fd;

	snprintf(lock, sizeof(lock), "%s.lock", name);
	fd = openat(directory, lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return failed("the lock beside", path);
	if (fcntl(fd, F_SETLK, &whole) == 0)
		return fd;
	if (errno == EACCES || errno == EAGAIN) {
		cli_error(COMMAND, "another agent serves %s", path);
		errno = EBUSY;
	} else {
		failed("the lock beside", path);
	}
	close(fd);
	return -EBUSY;
}

static int check_free(const char *path)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : failed("the socket", path);
	if (S_ISSOCK(status.st_mode))
		return 0;
	cli_error(COMMAND, "%s is there and is not a socket", path);
	return -EEXIST;
}

int agent_socket_take(const char *path, struct agent_socket *ret_socket)
{
	struct agent_socket taken = {.path = path, .directory = open_directory(path)};
	int rc = taken.directory;

	if (rc >= 0) {
		snprintf(taken.name, sizeof(taken.name), "%s", strrchr(path, '/') + 1);
		rc = check_free(path);
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

int agent_socket_listen(const struct agent_socket *own, unsigned mode)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return failed("the socket", own->path);
	/* Options were checked for its length. */
	snprintf(address.sun_path, sizeof(address.sun_path), "%s" NEW_SUFFIX, own->path);
	unlink(address.sun_path);
	if (bind_with_mode(fd, &address, mode) < 0 || listen(fd, SOMAXCONN) < 0 ||
	    rename(address.sun_path, own->path) < 0) {
		int rc = failed("the socket", address.sun_path);

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
	unlink(own->path);
}
