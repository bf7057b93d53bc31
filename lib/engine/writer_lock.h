/* Who writes the shared table: one process of the user, as long as it lives. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_WRITER_LOCK_H
#define K8SLB_ENGINE_WRITER_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/lifeline.h"

/*
 * A POSIX record lock (fcntl(2), F_SETLK) on /dev/shm/k8slb-UID/IDENTITY.lock. The kernel counts it
 * to the file descriptor table, and that of the engine's thread is its own: the lock ends with the
 * thread, by exit, kill -9 or execve() of the host, is not touched by what the host closes, and a
 * forked child does not hold it on (flock(2) would, through the descriptor that it inherits where
 * the table is shared).
 *
 * Two writers would tear the table and no reader could tell, so that a lock is good only as long
 * as its file has a name: somebody may clean up /dev/shm. The path is not asked for it: the host
 * may have changed its root or its user since.
 *
 * Nor does it keep out who has another /dev/shm: a volume there (the usual way to more than 64
 * MiB), or a sandbox's, while the IPC namespace is the Pod's all the same. And a writer that stands
 * still holds a lock whose file may be gone when it wakes, in the middle of a publish. So a table
 * belongs to the file of its lock, and @table is a hash of the settings' identity and of that
 * file's device and inode: nobody ever writes into a segment that the holder of another file may
 * still have mapped for writing.
 */
struct writer_lock {
	int fd;
	uint64_t table; /* identity of the shared table that it is for */
	uint64_t identity;
	struct lifeline line; /* held by the holder */
};

/* Longest file name that writer_lock_name() makes, with its NUL. */
#define WRITER_LOCK_NAME_SIZE 24

/* "IDENTITY.lock" in @name: the file in the folder; the FIFO is "IDENTITY.held" (lifeline.h). */
void writer_lock_name(uint64_t identity, char name[WRITER_LOCK_NAME_SIZE]);

/*
 * Makes folder (mode 0700) and file where they are missing. Refused with -EPERM: a folder or file
 * of another owner, with rights for others, or that is a symbolic link. Only the thread with its
 * own descriptor table may call this. Returns 0 or -errno; nothing is locked yet.
 */
int writer_lock_open(uint64_t identity, struct writer_lock *ret_lock);

/* Returns 0, or -EAGAIN when another process has it; -ESTALE: its file was removed,
 * open anew, whoever has it. */
int writer_lock_try(struct writer_lock *lock);

/* Waits until it is ours, however long: a process that dies hands it on at once. Returns 0,
 * -ESTALE, -ENODATA: writer_lock_is_private(); -ECANCELED when @interrupt (NULL: nothing) was set;
 * -EINTR: it was nudged; or -errno. */
int writer_lock_wait(struct writer_lock *lock, const struct interrupt *interrupt);

/* The same, and -ETIMEDOUT after @longest_ms (less than a minute) as long as another process has it. */
int writer_lock_wait_for(struct writer_lock *lock, const struct interrupt *interrupt,
			 int longest_ms);

/*
 * A second byte of the file says that somebody waits: the kernel tells nobody who waits for the
 * first one. Held from here on until the lock is ours or closed. A failure changes nothing: then
 * nobody is known to wait.
 */
void writer_lock_ask_for(const struct writer_lock *lock);

/* The holder: another process waits for it. Returns 1, 0 or -errno (a sandbox's filter). */
int writer_lock_is_wanted(const struct writer_lock *lock);

/* The holder gives it to whoever waits. Returns 0 or -errno: it is held on. */
int writer_lock_release(struct writer_lock *lock);

/*
 * The holder: no table can be shared, and it has one of its own. A third byte of the file says so
 * as long as it holds the lock, and all who wait for it hear of it at once: what failed for good is
 * not waited for. Where that cannot be said, nothing changes.
 */
void writer_lock_say_private(struct writer_lock *lock);

/* The holder has said so. */
bool writer_lock_is_private(const struct writer_lock *lock);

/* 0: the file has its name. -ESTALE: somebody removed it. Another -errno: it cannot be told. */
int writer_lock_check(const struct writer_lock *lock);

/* The program is still the user whose file it is. */
bool writer_lock_is_ours(const struct writer_lock *lock);

/*
 * Takes the file away from a holder that stands still, with its line: whoever opens it from now on
 * has a new one. One process does it, all others find that it is done. Returns 0 or -errno.
 */
int writer_lock_remove(const struct writer_lock *lock);

/* Closes, and so unlocks. */
void writer_lock_close(struct writer_lock *lock);

#endif
