// SPDX-License-Identifier: Apache-2.0
#include "fd_sets.h"

#include <fcntl.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "readable.h"

#define LONG_BITS   (sizeof(long) * CHAR_BIT)
#define LONG_COUNT  65536u /* descriptors */
#define LONG_WORDS  (LONG_COUNT / LONG_BITS)

/* Who waits with it may leave for good, by a handler or cancelled: then longer sets are libc's
 * alone from then on. */
static struct {
	uint32_t claimed;
	unsigned long words[3][LONG_WORDS];
} longer;

/* How many descriptors this process's table has room for, "FDSize" of /proc/self/status; 0: not
 * known. Without cancellation points. */
static unsigned table_length(void)
{
	static const char name[] = "\nFDSize:\t";
	char text[256];
	size_t matched = 0;
	unsigned length = 0;
	int fd = (int)raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC);
	long got;

	if (fd < 0)
		return 0;
	while ((got = raw_syscall(SYS_read, fd, text, sizeof(text))) > 0) {
		for (long i = 0; i < got; i++) {
			char c = text[i];

			if (matched == SIZE_MAX)
				break;
			if (matched < sizeof(name) - 1)
				matched = c == name[matched] ? matched + 1 : c == '\n';
			else if (c >= '0' && c <= '9')
				length = length * 10 + (unsigned)(c - '0');
			else
				matched = SIZE_MAX;
		}
	}
	raw_syscall(SYS_close, fd);
	return length;
}

static bool are_readable(const struct fd_sets *sets)
{
	const void *before = NULL;
	size_t size = sets->words * sizeof(long);

	for (unsigned i = 0; i < 3; i++) {
		const void *set = sets->sets[i];

		if (!set || (before && is_same_page(set, before, size)))
			continue;
		if (!readable(set, size))
			return false;
		before = set;
	}
	return true;
}

static bool find_room(struct fd_sets *sets, unsigned long *room)
{
	for (unsigned i = 0; i < 3; i++)
		sets->kept[i] = room + (size_t)i * sets->words;
	if (sets->words <= FD_SETS_SMALL)
		return true;
	if (sets->words > LONG_WORDS || !claim_u32(&longer.claimed, 0, 1))
		return false;
	sets->claimed = 1;
	for (unsigned i = 0; i < 3; i++)
		sets->kept[i] = longer.words[i];
	return true;
}

bool fd_sets_keep(struct fd_sets *ret_sets, unsigned long *room, int count, fd_set *readable_set,
		  fd_set *writable_set, fd_set *exceptional_set)
{
	KEEP_ERRNO();
	fd_set *const sets[3] = {readable_set, writable_set, exceptional_set};

	if (count < 0)
		return false;
	if (count > FD_SETSIZE) {
		unsigned length = table_length();

		if (!length)
			return false;
		if ((unsigned)count > length)
			count = (int)length;
	}
	ret_sets->count = count;
	ret_sets->words = (unsigned)(((size_t)count + LONG_BITS - 1) / LONG_BITS);
	ret_sets->claimed = 0;
	for (unsigned i = 0; i < 3; i++)
		ret_sets->sets[i] = (unsigned long *)(void *)sets[i];
	if (!are_readable(ret_sets) || !find_room(ret_sets, room))
		return false;
	for (unsigned i = 0; i < 3; i++) {
		if (sets[i])
			memcpy(ret_sets->kept[i], sets[i], ret_sets->words * sizeof(long));
	}
	return true;
}

void fd_sets_put_back(const struct fd_sets *sets)
{
	for (unsigned i = 0; i < 3; i++) {
		if (sets->sets[i])
			memcpy(sets->sets[i], sets->kept[i], sets->words * sizeof(long));
	}
}

void fd_sets_release(struct fd_sets *sets)
{
	if (sets->claimed)
		poke_u32(&longer.claimed, 0);
}
