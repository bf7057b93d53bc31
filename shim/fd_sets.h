/* The sets of a select(2), as they were before the kernel wrote to them. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_FD_SETS_H
#define K8SLB_SHIM_FD_SETS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/select.h>

/*
 * A set is as long as the caller's nfds says, in whole longs; the kernel looks no further than the
 * program's table of descriptors is long, and many say getdtablesize() and have an fd_set of 1024.
 * So above that the kernel is asked for the length of the table, and no more is read or written. Up
 * to 1024 the copy is in the room of the caller of this; longer ones are one thread's at a time, in
 * memory that nothing else touches. What cannot be copied is libc's call as it came.
 */
#define FD_SETS_BITS  (sizeof(long) * CHAR_BIT)
#define FD_SETS_SMALL (FD_SETSIZE / FD_SETS_BITS)

struct fd_sets {
	unsigned long *sets[3]; /* the caller's: readable, writable, exceptional; NULL: none */
	unsigned long *kept[3];
	uint64_t claimed; /* 0: not the longer memory */
	unsigned words;	  /* of each */
	int count;	  /* descriptors */
};

/* Bytes of room for the copies: as few as there are descriptors, on the stack. */
static inline size_t fd_sets_room(int count)
{
	size_t words = count > 0 ? ((size_t)count + FD_SETS_BITS - 1) / FD_SETS_BITS : 1;

	return 3 * sizeof(long) * (words < FD_SETS_SMALL ? words : FD_SETS_SMALL);
}

/*
 * Copies them, into @room (fd_sets_room()). False: bad pointers, too long, or the longer memory is
 * another thread's; then nothing is to be put back. Async-signal-safe, keeps errno.
 */
bool fd_sets_keep(struct fd_sets *ret_sets, unsigned long *room, int count, fd_set *readable,
		  fd_set *writable, fd_set *exceptional);

/* The caller's are again what they were. The kernel has written to them before. */
void fd_sets_put_back(const struct fd_sets *sets);

void fd_sets_release(struct fd_sets *sets);

static inline bool fd_sets_has(const struct fd_sets *sets, unsigned which, int fd)
{
	const unsigned bits = sizeof(long) * CHAR_BIT;

	return sets->sets[which] && fd >= 0 && fd < sets->count &&
	       (sets->sets[which][(unsigned)fd / bits] >> (unsigned)fd % bits & 1);
}

static inline void fd_sets_remove(const struct fd_sets *sets, unsigned which, int fd)
{
	const unsigned bits = sizeof(long) * CHAR_BIT;

	sets->sets[which][(unsigned)fd / bits] &= ~(1ul << (unsigned)fd % bits);
}

#endif
