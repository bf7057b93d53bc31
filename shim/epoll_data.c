// SPDX-License-Identifier: Apache-2.0
#include "epoll_data.h"

#include <fcntl.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"

#define SETS 256u /* a power of two; by descriptor */
#define WAYS 4u

/* One is written by whoever registers a number, and read by whoever had its event: not at once, but
 * in a program that reuses it meanwhile; then either is right for one of the two. */
struct note {
	uint64_t whose; /* epoll, then descriptor; both and one, so that 0 is none */
	uint64_t data;
	uint32_t events;
	uint32_t is_alone; /* the list was seen to have no other one with these data */
};

static struct set {
	struct note notes[WAYS];
	uint32_t has_lost; /* one was overwritten */
} sets[SETS];

static uint32_t has_noted;

/* Reading lists is paid for until then: each adds EPOLL_DATA_SHARE times what it took. Two threads
 * at once may lose one of the two. */
static uint64_t paid_us;

#define LARGE 64u

/* Epolls, and one, whose list is long. */
static uint32_t large[LARGE];

static uint64_t whose(int epoll, int fd)
{
	return ((uint64_t)(uint32_t)epoll + 1) << 32 | ((uint64_t)(uint32_t)fd + 1);
}

static struct set *set_of(int fd)
{
	return &sets[(uint32_t)fd % SETS];
}

static struct note *find(int epoll, int fd)
{
	struct set *set = set_of(fd);

	for (unsigned i = 0; i < WAYS; i++) {
		if (peek_u64(&set->notes[i].whose) == whose(epoll, fd))
			return &set->notes[i];
	}
	return NULL;
}

void epoll_data_forget(int epoll, int fd)
{
	struct note *note = peek_u32(&has_noted) ? find(epoll, fd) : NULL;

	if (note)
		poke_u64(&note->whose, 0);
}

void epoll_data_fresh(int fd)
{
	struct set *set = set_of(fd);

	if (!peek_u32(&has_noted))
		return;
	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t of = peek_u64(&set->notes[i].whose);

		if ((uint32_t)of == (uint32_t)fd + 1 && of)
			poke_u64(&set->notes[i].whose, 0);
	}
}

void epoll_data_note(int epoll, int fd, const struct epoll_event *event)
{
	struct set *set = set_of(fd);
	struct note *note = find(epoll, fd);

	for (unsigned i = 0; !note && i < WAYS; i++) {
		if (!peek_u64(&set->notes[i].whose))
			note = &set->notes[i];
	}
	if (!note) {
		note = &set->notes[(uint32_t)(epoll + fd / (int)SETS) % WAYS];
		poke_u32(&set->has_lost, 1);
	}
	poke_u64(&note->whose, 0);
	fence_before_rewrite();
	poke_u32(&note->events, event->events);
	poke_u64(&note->data, event->data.u64);
	poke_u32(&note->is_alone, 0);
	publish_u64(&note->whose, whose(epoll, fd)); /* observed in read_note() */
	poke_u32(&has_noted, 1);
}

static bool read_note(const struct note *note, uint64_t of, struct epoll_event *ret_event)
{
	uint64_t before = observe_u64(&note->whose);
	uint32_t events = peek_u32(&note->events);
	uint64_t data = peek_u64(&note->data);

	fence_before_recheck();
	if (before != of || peek_u64(&note->whose) != before)
		return false;
	ret_event->events = events;
	ret_event->data.u64 = data;
	return true;
}

bool epoll_data_noted(int epoll, int fd, struct epoll_event *ret_event)
{
	const struct note *note = find(epoll, fd);

	return note && read_note(note, whose(epoll, fd), ret_event);
}

bool epoll_data_may_find(int epoll)
{
	return peek_u32(&large[(uint32_t)epoll % LARGE]) != (uint32_t)epoll + 1 &&
	       peek_u64(&paid_us) <= clock_monotonic_us();
}

/* By the thread's own time: it may be given no processor meanwhile. */
static void pay(uint64_t took_us)
{
	uint64_t now_us = clock_monotonic_us();
	uint64_t most_us = EPOLL_DATA_CREDIT_MS * EPOLL_DATA_SHARE * UINT64_C(1000);
	uint64_t first_us = now_us > most_us ? now_us - most_us : 0;
	uint64_t before_us = peek_u64(&paid_us);

	poke_u64(&paid_us, (before_us > first_us ? before_us : first_us) +
				   EPOLL_DATA_SHARE * took_us);
}

/* All registrations of this number are noted, as far as that is known here. */
static bool is_known(int fd)
{
	struct set *set = set_of(fd);

	if (peek_u32(&set->has_lost))
		return false;
	for (unsigned i = 0; i < WAYS; i++) {
		if ((uint32_t)peek_u64(&set->notes[i].whose) == (uint32_t)fd + 1)
			return true;
	}
	return false;
}

bool epoll_data_may_have(int epoll, int fd)
{
	return find(epoll, fd) || !is_known(fd);
}

enum epoll_data_says epoll_data_says(int epoll, int fd, uint64_t data, uint32_t *ret_events)
{
	const struct note *note = find(epoll, fd);
	struct epoll_event event;

	if (!note || !read_note(note, whose(epoll, fd), &event))
		return is_known(fd) ? EPOLL_DATA_OTHERS : EPOLL_DATA_NOTHING;
	if (event.data.u64 != data)
		return EPOLL_DATA_OTHERS;
	*ret_events = event.events;
	return peek_u32(&note->is_alone) ? EPOLL_DATA_ALONE : EPOLL_DATA_ITS;
}

/* --- /proc/thread-self/fdinfo: "tfd: %8d events: %8x data: %16llx  pos:%lli ino:%lx sdev:..."
 * ------- */

enum { TFD, EVENTS, DATA, POS, INO, FIELDS };
static const char *const names[FIELDS] = {"tfd:", "events:", "data:", "pos:", "ino:"};
static const unsigned bases[FIELDS] = {10, 16, 16, 10, 16};

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
		/* Of a kernel before 4.13 nothing stands behind the data. */
		unsigned done = walk->field + (walk->field < FIELDS && walk->is_begun);

		if (done < FIELDS)
			walk->values[INO] = 0;
		walk->field = walk->length = 0;
		walk->is_in = walk->is_begun = walk->is_bad = false;
		return done > DATA;
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
		walk->is_begun = true;
		walk->values[walk->field] = walk->values[walk->field] * bases[walk->field] +
					    (unsigned)digit_of(c);
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
		if (queries[i].data != walk->values[DATA])
			continue;
		queries[i].count++;
		for (unsigned k = 0; k < fd_count; k++) {
			if ((uint64_t)fds[k] != walk->values[TFD])
				continue;
			queries[i].fd = fds[k];
			queries[i].events = (uint32_t)walk->values[EVENTS];
			queries[i].inode = walk->values[INO];
		}
	}
}

/* Not snprintf(): this may run in a handler. */
static void write_path(char *text, int epoll)
{
	static const char folder[] = "/proc/thread-self/fdinfo/";
	char digits[12];
	unsigned count = 0;

	memcpy(text, folder, sizeof(folder) - 1);
	text += sizeof(folder) - 1;
	do {
		digits[count++] = (char)('0' + epoll % 10);
		epoll /= 10;
	} while (epoll);
	while (count)
		*text++ = digits[--count];
	*text = '\0';
}

/* Data that one registration alone has are its for as long as that stands. */
static void confirm(int epoll, const struct epoll_query *query)
{
	struct note *note = query->fd >= 0 && query->count == 1 ? find(epoll, query->fd) : NULL;

	if (note && peek_u64(&note->data) == query->data)
		poke_u32(&note->is_alone, 1);
}

bool epoll_data_find(int epoll, struct epoll_query *queries, unsigned query_count, const int *fds,
		     unsigned fd_count)
{
	KEEP_ERRNO();
	struct walk walk = {.field = 0};
	uint64_t began_us = clock_thread_us();
	unsigned lines = 0;
	char text[512];
	long got;
	int file;

	for (unsigned i = 0; i < query_count; i++) {
		queries[i].fd = -1;
		queries[i].count = 0;
		queries[i].inode = 0;
	}
	if (epoll < 0)
		return false;
	write_path(text, epoll);
	file = (int)raw_syscall(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	while ((got = raw_syscall(SYS_read, file, text, sizeof(text))) > 0) {
		for (long i = 0; i < got; i++) {
			if (!take(&walk, text[i]))
				continue;
			answer(&walk, queries, query_count, fds, fd_count);
			lines++;
		}
	}
	raw_syscall(SYS_close, file);
	if (lines > EPOLL_DATA_MOST)
		poke_u32(&large[(uint32_t)epoll % LARGE], (uint32_t)epoll + 1);
	pay(clock_thread_us() - began_us);
	for (unsigned i = 0; got == 0 && i < query_count; i++)
		confirm(epoll, &queries[i]);
	return got == 0;
}
