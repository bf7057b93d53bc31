// SPDX-License-Identifier: Apache-2.0
#include "epoll_data.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"

#define NOTES 256u /* a power of two; by descriptor */

/* One is written by whoever registers a number, and read by whoever had its event: not at once, but
 * in a program that reuses it meanwhile; then either is right for one of the two. */
static struct {
	uint64_t whose; /* epoll, then descriptor; both and one, so that 0 is none */
	uint32_t events;
} notes[NOTES];

static uint64_t whose(int epoll, int fd)
{
	return ((uint64_t)(uint32_t)epoll + 1) << 32 | ((uint64_t)(uint32_t)fd + 1);
}

void epoll_data_forget(int epoll, int fd)
{
	unsigned place = (uint32_t)fd % NOTES;

	if (peek_u64(&notes[place].whose) == whose(epoll, fd))
		poke_u64(&notes[place].whose, 0);
}

void epoll_data_note(int epoll, int fd, const struct epoll_event *event)
{
	unsigned place = (uint32_t)fd % NOTES;

	poke_u64(&notes[place].whose, 0);
	poke_u32(&notes[place].events, event->events);
	publish_u64(&notes[place].whose, whose(epoll, fd)); /* observed in epoll_data_events() */
}

uint32_t epoll_data_events(int epoll, int fd, uint32_t otherwise)
{
	unsigned place = (uint32_t)fd % NOTES;
	uint64_t before = observe_u64(&notes[place].whose);
	uint32_t events = peek_u32(&notes[place].events);

	fence_before_recheck();
	return before == whose(epoll, fd) && peek_u64(&notes[place].whose) == before ? events
										     : otherwise;
}

/* --- /proc/thread-self/fdinfo: "tfd: %8d events: %8x data: %16llx  pos:..." ------------------------- */

static const char *const names[] = {"tfd:", "events:", "data:"};
#define FIELDS 3u

/* A walk through the text. */
struct walk {
	uint64_t values[FIELDS];
	unsigned field;	 /* that is looked for, or read */
	unsigned length; /* of its name, as far as it was met */
	bool is_in;	 /* the value */
	bool is_begun;
	bool is_bad;
};

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character; true: a whole line of a registration is there. */
static bool take(struct walk *walk, char c)
{
	if (c == '\n') {
		bool is_whole = !walk->is_bad && walk->field == FIELDS - 1 && walk->is_begun;

		is_whole = is_whole || (!walk->is_bad && walk->field == FIELDS);
		walk->field = walk->length = 0;
		walk->is_in = walk->is_begun = walk->is_bad = false;
		return is_whole;
	}
	if (walk->is_bad || walk->field == FIELDS)
		return false;
	if (!walk->is_in) {
		if (c == names[walk->field][walk->length]) {
			walk->is_in = !names[walk->field][++walk->length];
			walk->values[walk->field] = 0;
		} else if (c != ' ' || walk->length) {
			walk->is_bad = true;
		}
		return false;
	}
	if (digit_of(c) >= 0) {
		unsigned base = walk->field == 0 ? 10 : 16;

		walk->is_begun = true;
		walk->values[walk->field] = walk->values[walk->field] * base + (unsigned)digit_of(c);
	} else if (walk->is_begun) {
		walk->field++;
		walk->length = 0;
		walk->is_in = walk->is_begun = false;
	} else if (c != ' ' && c != '\t') {
		walk->is_bad = true;
	}
	return false;
}

static void answer(const struct walk *walk, struct epoll_query *queries, unsigned query_count,
		   const int *fds, unsigned fd_count)
{
	for (unsigned i = 0; i < query_count; i++) {
		if (queries[i].data != walk->values[2])
			continue;
		queries[i].count++;
		for (unsigned k = 0; k < fd_count; k++) {
			if ((uint64_t)fds[k] != walk->values[0])
				continue;
			queries[i].fd = fds[k];
			queries[i].events = (uint32_t)walk->values[1];
		}
	}
}

bool epoll_data_find(int epoll, struct epoll_query *queries, unsigned query_count, const int *fds,
		     unsigned fd_count)
{
	KEEP_ERRNO();
	struct walk walk = {.field = 0};
	char text[512];
	long got;
	int file;

	for (unsigned i = 0; i < query_count; i++) {
		queries[i].fd = -1;
		queries[i].count = 0;
	}
	snprintf(text, sizeof(text), "/proc/thread-self/fdinfo/%d", epoll);
	file = (int)raw_syscall(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	while ((got = raw_syscall(SYS_read, file, text, sizeof(text))) > 0) {
		for (long i = 0; i < got; i++) {
			if (take(&walk, text[i]))
				answer(&walk, queries, query_count, fds, fd_count);
		}
	}
	raw_syscall(SYS_close, file);
	return got == 0;
}
