/* revive, epoll_data: what is done with a connection under way, and whose an event is. */
// SPDX-License-Identifier: Apache-2.0
#include "revive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "epoll_data.h"
#include "fd_sets.h"
#include "new_filters.h"
#include "readable.h"
#include "support/assert_op.h"

/* --- the table of results -------------------------------------------------------------------- */

static void test_what_is_done_by_what_the_kernel_tells(void **state)
{
	static const struct {
		struct tcp_outcome outcome;
		enum revive_step in_time, overdue;
	} rows[] = {
		{{.state = TCP_SYN_SENT, .segs_out = 1}, REVIVE_WAIT, REVIVE_OVERDUE},
		{{.state = TCP_SYN_RECV, .segs_out = 1}, REVIVE_WAIT, REVIVE_OVERDUE},
		{{.state = TCP_CLOSE, .segs_out = 1}, REVIVE_FAILED, REVIVE_FAILED},
		{{.state = TCP_CLOSE, .segs_out = 2, .bytes_acked = 1},
		 REVIVE_CONNECTED,
		 REVIVE_CONNECTED},
		{{.state = TCP_CLOSE}, REVIVE_VOID, REVIVE_VOID},
		{{.state = TCP_LISTEN}, REVIVE_VOID, REVIVE_VOID},
		{{.state = TCP_ESTABLISHED, .segs_out = 2, .bytes_acked = 1},
		 REVIVE_CONNECTED,
		 REVIVE_CONNECTED},
		{{.state = TCP_CLOSE_WAIT, .segs_out = 2, .bytes_acked = 1},
		 REVIVE_CONNECTED,
		 REVIVE_CONNECTED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(revive_step_of(&rows[i].outcome, false), rows[i].in_time);
		assert_int_equal(revive_step_of(&rows[i].outcome, true), rows[i].overdue);
	}
}

static void test_what_a_failed_try_may_say(void **state)
{
	static const struct {
		int rc, error;
		enum revive_said said;
	} rows[] = {
		{0, 0, REVIVE_SAID_UNKNOWN},
		{-1, ECONNREFUSED, REVIVE_SAID_FAILURE},
		{-1, ECONNABORTED, REVIVE_SAID_TAKEN},
		{-1, ETIMEDOUT, REVIVE_SAID_FAILURE},
		{-1, EHOSTUNREACH, REVIVE_SAID_FAILURE},
		{-1, ENETUNREACH, REVIVE_SAID_FAILURE},
		{-1, EACCES, REVIVE_SAID_DENIED},
		{-1, EPERM, REVIVE_SAID_DENIED},
		{-1, EALREADY, REVIVE_SAID_WAITS},
		{-1, EINPROGRESS, REVIVE_SAID_WAITS},
		{-1, EISCONN, REVIVE_SAID_THERE},
		{-1, EBADF, REVIVE_SAID_GONE},
		{-1, ENOTSOCK, REVIVE_SAID_GONE},
		{-1, EFAULT, REVIVE_SAID_UNKNOWN},
		{-1, EINVAL, REVIVE_SAID_UNKNOWN},
		{-1, EAFNOSUPPORT, REVIVE_SAID_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(revive_said_by(rows[i].rc, rows[i].error), rows[i].said);
}

/* --- whose an event is ----------------------------------------------------------------------- */

static void add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

static void test_data_are_found_among_many(void **state)
{
	enum { COUNT = 300 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int fds[COUNT];
	struct epoll_query queries[3] = {
		{.data = UINT64_MAX - 7}, {.data = 0x1234}, {.data = 5}};

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC);
		add(epoll, fds[i], i % 2 ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLET,
		    UINT64_MAX - (uint64_t)i);
	}
	errno = EDOM;
	assert_true(epoll_data_find(epoll, queries, 3, fds, COUNT));
	assert_int_equal(errno, EDOM);
	assert_int_equal(queries[0].fd, fds[7]);
	assert_int_equal(queries[0].count, 1);
	assert_int_equal(queries[0].events & (EPOLLIN | EPOLLOUT | EPOLLET), EPOLLIN);
	assert_int_equal(queries[1].fd, -1);
	assert_int_equal(queries[1].count, 0);
	/* Of another one it is asked: that has the data, and is not among the descriptors. */
	assert_true(epoll_data_find(epoll, queries, 1, fds, 7));
	assert_int_equal(queries[0].fd, -1);
	assert_int_equal(queries[0].count, 1);
	for (int i = 0; i < COUNT; i++)
		close(fds[i]);
	close(epoll);
}

static void test_data_of_two_are_counted_twice(void **state)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int fds[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
	struct epoll_query query = {.data = 0};

	(void)state;
	add(epoll, fds[0], EPOLLIN, 0);
	add(epoll, fds[1], EPOLLOUT, 0);
	assert_true(epoll_data_find(epoll, &query, 1, fds, 1));
	assert_int_equal(query.count, 2);
	assert_int_equal(query.fd, fds[0]);
	close(fds[0]);
	close(fds[1]);
	close(epoll);
}

static void test_what_is_no_epoll_has_no_data(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct epoll_query query = {.data = 0};

	(void)state;
	assert_true(epoll_data_find(fd, &query, 1, &fd, 1));
	assert_int_equal(query.count, 0);
	assert_int_equal(query.fd, -1);
	close(fd);
	assert_false(epoll_data_find(fd, &query, 1, &fd, 1));
}

static uint32_t noted(int epoll, int fd)
{
	struct epoll_event event = {.events = 1};

	epoll_data_noted(epoll, fd, &event);
	return event.events;
}

static void test_what_was_asked_for_is_remembered(void **state)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};

	(void)state;
	epoll_data_note(3, 7, &event);
	assert_int_equal(noted(3, 7), EPOLLIN | EPOLLONESHOT);
	assert_int_equal(noted(4, 7), 1);
	assert_int_equal(noted(3, 8), 1);
	epoll_data_forget(4, 7);
	assert_int_equal(noted(3, 7), EPOLLIN | EPOLLONESHOT);
	epoll_data_forget(3, 7);
	assert_int_equal(noted(3, 7), 1);
	epoll_data_note(3, 7, &event);
	epoll_data_note(4, 7, &event);
	epoll_data_note(3, 7 + 256, &event);
	epoll_data_fresh(7);
	assert_int_equal(noted(3, 7), 1);
	assert_int_equal(noted(4, 7), 1);
	assert_int_equal(noted(3, 7 + 256), EPOLLIN | EPOLLONESHOT);
	epoll_data_fresh(7 + 256);
}

/* The list of an epoll is read for what is not noted, and to confirm what is. */
static void test_a_list_is_read_for_a_part_of_the_time(void **state)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int fds[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 11};
	struct epoll_query query = {.data = 11};
	int full = epoll_create1(EPOLL_CLOEXEC);
	int many[1100];
	uint64_t began_us;
	uint32_t events = 0;

	(void)state;
	add(epoll, fds[0], EPOLLIN, 11);
	epoll_data_note(epoll, fds[0], &event);
	assert_int_equal(epoll_data_says(epoll, fds[0], 11, &events), EPOLL_DATA_ITS);
	assert_int_equal(events, EPOLLIN);
	assert_true(epoll_data_find(epoll, &query, 1, fds, 1));
	assert_int_equal(query.fd, fds[0]);
	assert_int_equal(epoll_data_says(epoll, fds[0], 11, &events), EPOLL_DATA_ALONE);
	assert_int_equal(epoll_data_says(epoll, fds[0], 12, &events), EPOLL_DATA_OTHERS);
	/* A duplicate of the epoll, perhaps. */
	assert_int_equal(epoll_data_says(epoll + 1, fds[0], 11, &events), EPOLL_DATA_ALONE);
	assert_int_equal(epoll_data_says(epoll + 1, fds[0], 12, &events), EPOLL_DATA_OTHERS);
	assert_int_equal(epoll_data_says(epoll, fds[1], 11, &events), EPOLL_DATA_NOTHING);
	/* Changed: what was seen is no more so. */
	epoll_data_note(epoll, fds[0], &event);
	assert_int_equal(epoll_data_says(epoll, fds[0], 11, &events), EPOLL_DATA_ITS);
	/* So often, one after the other, until it has taken too much of the time. */
	while (!epoll_data_may_find())
		poll(NULL, 0, 5);
	for (int i = 0; i < 900; i++) {
		many[i] = eventfd(0, EFD_CLOEXEC);
		add(full, many[i], EPOLLIN, 1000 + (uint64_t)i);
	}
	began_us = clock_thread_us();
	while (epoll_data_may_find())
		assert_true(epoll_data_find(full, &query, 1, fds, 1));
	assert_op(clock_thread_us() - began_us, >=, EPOLL_DATA_CREDIT_MS * UINT64_C(500));
	while (!epoll_data_may_find())
		poll(NULL, 0, 5);
	/* One that is as long as that is read once. */
	for (int i = 900; i < 1100; i++) {
		many[i] = eventfd(0, EFD_CLOEXEC);
		add(full, many[i], EPOLLIN, 1000 + (uint64_t)i);
	}
	assert_true(epoll_data_find(full, &query, 1, fds, 1));
	assert_true(epoll_data_is_large(full));
	for (int i = 0; i < 1100; i++)
		close(many[i]);
	assert_false(epoll_data_is_large(epoll));
	close(full);
	close(fds[0]);
	close(fds[1]);
	close(epoll);
}

/* A number that was closed while a duplicate keeps its registration, and is another's by now. */
static void test_the_list_tells_which_file_it_is(void **state)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int sockets[2] = {socket(AF_INET, SOCK_STREAM, 0), -1};
	struct epoll_query query = {.data = 21};
	struct stat status;
	int kept;

	(void)state;
	add(epoll, sockets[0], EPOLLIN, 21);
	kept = dup(sockets[0]);
	close(sockets[0]);
	sockets[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(sockets[1], sockets[0]);
	assert_true(epoll_data_find(epoll, &query, 1, &sockets[1], 1));
	assert_int_equal(query.fd, sockets[1]);
	assert_int_equal(fstat(kept, &status), 0);
	assert_int_equal(query.inode, status.st_ino);
	assert_int_equal(fstat(sockets[1], &status), 0);
	assert_int_not_equal(query.inode, status.st_ino);
	close(kept);
	close(sockets[1]);
	close(epoll);
}

/* --- the caller's memory --------------------------------------------------------------------- */

static void test_what_cannot_be_read_is_told(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);

	(void)state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(mprotect(memory + 2 * page, page, PROT_NONE), 0);
	assert_true(readable(memory, 2 * page));
	assert_true(readable(memory + 2 * page - 1, 1));
	assert_false(readable(memory + 2 * page - 1, 2));
	assert_false(readable(memory, 2 * page + 1));
	assert_false(readable(NULL, 1));
	assert_true(writable_time(memory));
	assert_false(writable_time(memory + 2 * page));
	munmap(memory, 3 * page);
}

static void test_sets_are_put_back(void **state)
{
	fd_set in, out;
	struct fd_sets sets;
	unsigned long room[3 * FD_SETS_SMALL];

	(void)state;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(3, &in);
	FD_SET(1000, &out);
	assert_true(fd_sets_keep(&sets, room, 1001, &in, &out, NULL));
	assert_true(fd_sets_has(&sets, 0, 3));
	assert_true(fd_sets_has(&sets, 1, 1000));
	assert_false(fd_sets_has(&sets, 2, 3));
	fd_sets_remove(&sets, 1, 1000);
	assert_false(FD_ISSET(1000, &out));
	FD_ZERO(&in);
	fd_sets_put_back(&sets);
	assert_true(FD_ISSET(3, &in));
	assert_true(FD_ISSET(1000, &out));
	fd_sets_release(&sets);
	assert_false(fd_sets_keep(&sets, room, -1, &in, NULL, NULL));
	assert_false(fd_sets_keep(&sets, room, 64, (fd_set *)(uintptr_t)8, NULL, NULL));
}

/* getdtablesize() and an fd_set: the kernel looks no further than its table is long. */
static void test_sets_are_no_longer_than_the_table(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
	struct fd_sets first, second;
	unsigned long room[3 * FD_SETS_SMALL];
	fd_set *set;

	(void)state;
	assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
	set = (fd_set *)(void *)(memory + page - sizeof(fd_set));
	assert_true(fd_sets_keep(&first, room, 1 << 20, set, NULL, NULL));
	assert_op(first.count, <=, FD_SETSIZE);
	/* A table of that many: each set has as many bits, and one thread at a time may keep them. */
	assert_int_equal(dup2(0, 2000), 2000);
	set = (fd_set *)(void *)memory;
	assert_true(fd_sets_keep(&first, room, 1 << 20, set, NULL, NULL));
	assert_op(first.count, >, 2000);
	assert_false(fd_sets_keep(&second, room, 1 << 20, set, NULL, NULL));
	fd_sets_release(&first);
	assert_true(fd_sets_keep(&second, room, 1 << 20, set, NULL, NULL));
	fd_sets_release(&second);
	close(2000);
	munmap(memory, 2 * page);
}

static void test_a_process_without_new_filters(void **state)
{
	(void)state;
	new_filters_init();
	errno = EDOM;
	assert_false(new_filters_here());
	assert_int_equal(errno, EDOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_done_by_what_the_kernel_tells),
		cmocka_unit_test(test_what_a_failed_try_may_say),
		cmocka_unit_test(test_data_are_found_among_many),
		cmocka_unit_test(test_data_of_two_are_counted_twice),
		cmocka_unit_test(test_what_is_no_epoll_has_no_data),
		cmocka_unit_test(test_what_was_asked_for_is_remembered),
		cmocka_unit_test(test_the_list_tells_which_file_it_is),
		cmocka_unit_test(test_what_cannot_be_read_is_told),
		cmocka_unit_test(test_sets_are_put_back),
		cmocka_unit_test(test_sets_are_no_longer_than_the_table),
		cmocka_unit_test(test_a_process_without_new_filters),
		/* The last one: the table of descriptors is long from then on. */
		cmocka_unit_test(test_a_list_is_read_for_a_part_of_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
