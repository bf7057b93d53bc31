// SPDX-License-Identifier: Apache-2.0
#include "engine/writer_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/libc_compat.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"

#define FOLDER_FORMAT "/dev/shm/k8slb-%u"

/* Each is locked by the ones who do it, the second by all of them together. The file stays empty:
 * a record lock may lie behind the end. */
enum byte { WRITES, WAITS, IS_PRIVATE, REMOVES };

/* While the lock is taken and nobody holds the line. */
#define FIRST_PAUSE_MS	 1u
#define LONGEST_PAUSE_MS 1000u
/* While somebody does: it may be one that was stopped between the two steps of a try. */
#define LONGEST_WAIT_MS (60 * 1000)

/* @rights: that the owner must have, and nobody else. */
static int check_owner(int fd, mode_t type, mode_t rights)
{
	struct stat status;

	if (k8slb_fstat(fd, &status) < 0)
		return -errno;
	if ((status.st_mode & S_IFMT) != type || status.st_uid != geteuid() ||
	    (status.st_mode & (S_IRWXG | S_IRWXO)))
		return -EPERM;
	/* The umask of the program that made it may have taken away even our own. */
	if ((status.st_mode & rights) != rights && fchmod(fd, rights) < 0)
		return -errno;
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
	rc = check_owner(fd, S_IFDIR, 0700);
	if (rc < 0) {
		k8slb_raw_close(fd);
		return rc;
	}
	return fd;
}

void writer_lock_name(uint64_t identity, char name[WRITER_LOCK_NAME_SIZE])
{
	snprintf(name, WRITER_LOCK_NAME_SIZE, "%016llx.lock", (unsigned long long)identity);
}

static void line_name(uint64_t identity, char name[WRITER_LOCK_NAME_SIZE])
{
	snprintf(name, WRITER_LOCK_NAME_SIZE, "%016llx.held", (unsigned long long)identity);
}

/* By the lock's file. Its inode is nobody else's for as long as anybody has it open, which a holder
 * that was stopped has. */
static int identify_table(int fd, uint64_t identity, uint64_t *ret_table)
{
	struct stat status;
	uint64_t table;

	if (k8slb_fstat(fd, &status) < 0)
		return -errno;
	table = hash_mix(identity ^
			 hash_mix((uint64_t)status.st_dev ^ hash_mix((uint64_t)status.st_ino)));
	*ret_table = table ? table : 1;
	return 0;
}

int writer_lock_open(uint64_t identity, struct writer_lock *ret_lock)
{
	struct writer_lock lock = {.fd = -1, .identity = identity, .line = LIFELINE_NONE};
	char name[WRITER_LOCK_NAME_SIZE];
	int folder = open_folder();
	int rc;

	if (folder < 0)
		return folder;
	writer_lock_name(identity, name);
	lock.fd = openat(folder, name,
			 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	rc = lock.fd < 0 ? -errno : check_owner(lock.fd, S_IFREG, 0600);
	if (rc == 0)
		rc = identify_table(lock.fd, identity, &lock.table);
	if (rc < 0) {
		k8slb_raw_close(folder);
		writer_lock_close(&lock);
		return rc;
	}
	line_name(identity, name);
	lifeline_open(folder, name, &lock.line);
	*ret_lock = lock;
	return 0;
}

int writer_lock_check(const struct writer_lock *lock)
{
	struct stat status;

	if (k8slb_fstat(lock->fd, &status) < 0)
		return -errno;
	return status.st_nlink > 0 ? 0 : -ESTALE;
}

bool writer_lock_is_ours(const struct writer_lock *lock)
{
	return check_owner(lock->fd, S_IFREG, 0) == 0;
}

static int set_byte(const struct writer_lock *lock, int command, short type, enum byte byte)
{
	struct flock one = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	int rc;

	do {
		rc = fcntl(lock->fd, command, &one);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return 0;
}

void writer_lock_ask_for(const struct writer_lock *lock)
{
	set_byte(lock, F_SETLK, F_RDLCK, WAITS);
}

/* By another process. Returns 1, 0 or -errno. */
static int is_taken(const struct writer_lock *lock, enum byte byte)
{
	struct flock one = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (fcntl(lock->fd, F_GETLK, &one) < 0)
		return -errno;
	return one.l_type != F_UNLCK;
}

int writer_lock_is_wanted(const struct writer_lock *lock)
{
	return is_taken(lock, WAITS);
}

void writer_lock_say_private(struct writer_lock *lock)
{
	if (set_byte(lock, F_SETLK, F_WRLCK, IS_PRIVATE) == 0)
		lifeline_let_go(&lock->line);
}

bool writer_lock_is_private(const struct writer_lock *lock)
{
	return is_taken(lock, IS_PRIVATE) > 0;
}

int writer_lock_release(struct writer_lock *lock)
{
	int rc = set_byte(lock, F_SETLK, F_UNLCK, WRITES);

	if (rc == 0)
		lifeline_let_go(&lock->line);
	return rc;
}

int writer_lock_try(struct writer_lock *lock)
{
	char name[WRITER_LOCK_NAME_SIZE];
	int rc;

	line_name(lock->identity, name);
	lifeline_hold(&lock->line, name);
	rc = set_byte(lock, F_SETLK, F_WRLCK, WRITES);
	if (rc < 0) {
		lifeline_let_go(&lock->line);
		return rc == -EAGAIN && writer_lock_check(lock) == -ESTALE ? -ESTALE : rc;
	}
	set_byte(lock, F_SETLK, F_UNLCK, WAITS);
	return writer_lock_check(lock) == 0 ? 0 : -ESTALE;
}

int writer_lock_wait(struct writer_lock *lock, const struct interrupt *interrupt)
{
	uint32_t pause_ms = FIRST_PAUSE_MS;
	int rc;

	while ((rc = writer_lock_try(lock)) == -EAGAIN) {
		if (interrupt_is_set(interrupt))
			return -ECANCELED;
		if (!lifeline_is_cut(&lock->line)) {
			lifeline_wait(&lock->line, interrupt, LONGEST_WAIT_MS);
			pause_ms = FIRST_PAUSE_MS;
			if (interrupt_take_nudge(interrupt))
				return -EINTR;
			continue;
		}
		if (writer_lock_is_private(lock))
			return -ENODATA;
		interrupt_pause(interrupt, pause_ms);
		pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
	}
	return rc;
}

int writer_lock_remove(const struct writer_lock *lock)
{
	char name[WRITER_LOCK_NAME_SIZE];
	/* Of all who have this file open one looks at its name and takes it away, with nobody in
	 * between: another one would take away the next file, whose holder lives. */
	int rc = set_byte(lock, F_SETLK, F_WRLCK, REMOVES);

	if (rc < 0)
		return rc == -EAGAIN ? 0 : rc;
	if (writer_lock_check(lock) < 0)
		return 0;
	/* First: who comes now finds a line that nobody holds, and asks for the lock. */
	line_name(lock->identity, name);
	raw_syscall(SYS_unlinkat, lock->line.folder, name, 0);
	writer_lock_name(lock->identity, name);
	return raw_syscall(SYS_unlinkat, lock->line.folder, name, 0) < 0 ? -errno : 0;
}

void writer_lock_close(struct writer_lock *lock)
{
	if (lock->fd >= 0)
		k8slb_raw_close(lock->fd);
	lock->fd = -1;
	/* After: who is told of it finds the lock free. */
	lifeline_close(&lock->line);
}
