// SPDX-License-Identifier: Apache-2.0
#include "pick/hints.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/libc_compat.h"

#define FOLDER_FORMAT "/dev/shm/k8slb-%u"
#define FILE_NAME     "hints"

/* Ours alone, or somebody else could put a shorter file in the place of a mapped one. */
static int check_owner(int fd, mode_t type)
{
	struct stat status;

	if (k8slb_fstat(fd, &status) < 0)
		return -errno;
	if ((status.st_mode & S_IFMT) != type || status.st_uid != geteuid() ||
	    (status.st_mode & (S_IRWXG | S_IRWXO)))
		return -EPERM;
	return 0;
}

static int open_folder(void)
{
	char path[sizeof(FOLDER_FORMAT) + 16];
	int fd;
	int rc;

	snprintf(path, sizeof(path), FOLDER_FORMAT, (unsigned)geteuid());
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = check_owner(fd, S_IFDIR);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int open_file(int folder)
{
	int fd = openat(folder, FILE_NAME,
			O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	struct rlimit limit;
	int rc;

	if (fd < 0)
		return -errno;
	rc = check_owner(fd, S_IFREG);
	/* Beyond the limit the kernel raises SIGXFSZ, which ends most programs. */
	if (rc == 0 && getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	    limit.rlim_cur < sizeof(struct hints))
		rc = -EFBIG;
	/* Grows a new file and leaves an old one as it is. */
	if (rc == 0 && fallocate(fd, 0, 0, (off_t)sizeof(struct hints)) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int map_file(int fd, struct hints **ret_hints)
{
	struct hints *hints = mmap(NULL, sizeof(*hints), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t magic;

	if (hints == MAP_FAILED)
		return -errno;
	magic = peek_u64(&hints->magic);
	if (magic != 0 && magic != HINTS_MAGIC) {
		munmap(hints, sizeof(*hints));
		return -EPROTO;
	}
	poke_u64(&hints->magic, HINTS_MAGIC);
	*ret_hints = hints;
	return 0;
}

int hints_map(struct hints **ret_hints)
{
	int saved_errno = errno;
	int folder = open_folder();
	int rc = folder;

	if (folder >= 0) {
		int fd = open_file(folder);

		rc = fd;
		if (fd >= 0) {
			rc = map_file(fd, ret_hints);
			close(fd);
		}
		close(folder);
	}
	errno = saved_errno;
	return rc < 0 ? rc : 0;
}
