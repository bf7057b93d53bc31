/* engine: the writer's lock: one holder, handed on by the death of its process; what is refused. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "engine/writer_lock.h"
#include "support/segments.h"
#include "support/assert_op.h"

static uint64_t identity;
static char path[128];

static int begin(void **state)
{
	char name[WRITER_LOCK_NAME_SIZE];

	(void)state;
	identity = segments_identity();
	writer_lock_name(identity, name);
	snprintf(path, sizeof(path), "/dev/shm/k8slb-%u/%s", (unsigned)geteuid(), name);
	return 0;
}

static int end(void **state)
{
	(void)state;
	segments_remove_lock(identity);
	return 0;
}

static struct writer_lock opened(void)
{
	struct writer_lock lock;

	assert_int_equal(writer_lock_open(identity, &lock), 0);
	return lock;
}

static void stop_later(int number)
{
	const struct timespec soon = {.tv_sec = 2};

	(void)number;
	nanosleep(&soon, NULL);
	_exit(0);
}

/* A process that takes the lock, says so, and stays; its input's end is its own, and SIGUSR1 in two
 * seconds. */
static pid_t start_holder(int *ret_end)
{
	int ready[2];
	int over[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(over), 0);
	pid = fork();
	assert_op(pid, >=, 0);
	if (pid == 0) {
		struct writer_lock lock;

		close(over[1]);
		signal(SIGUSR1, stop_later);
		if (writer_lock_open(identity, &lock) < 0 || writer_lock_wait(&lock, NULL) < 0 ||
		    write(ready[1], &byte, 1) != 1 || read(over[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(over[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_end = over[1];
	return pid;
}

static void test_one_holder(void **state)
{
	struct writer_lock lock = opened();
	int status = 0;
	int over;
	pid_t holder = start_holder(&over);

	(void)state;
	assert_int_equal(writer_lock_try(&lock), -EAGAIN);
	assert_int_equal(writer_lock_check(&lock), 0);
	close(over);
	assert_int_equal(waitpid(holder, &status, 0), holder);
	assert_int_equal(status, 0);
	assert_int_equal(writer_lock_try(&lock), 0);
	writer_lock_close(&lock);
}

static void test_a_killed_holder_hands_it_on(void **state)
{
	struct writer_lock lock = opened();
	int over;
	pid_t holder = start_holder(&over);

	(void)state;
	assert_int_equal(kill(holder, SIGKILL), 0);
	assert_int_equal(writer_lock_wait(&lock, NULL), 0);
	assert_int_equal(waitpid(holder, NULL, 0), holder);
	close(over);
	writer_lock_close(&lock);
}

/* A process that waits for the lock until it has it. */
static pid_t start_waiter(void)
{
	pid_t pid = fork();

	assert_op(pid, >=, 0);
	if (pid == 0) {
		struct writer_lock lock;

		/* As the engine's thread has no descriptor of another process's. */
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		if (writer_lock_open(identity, &lock) < 0)
			_exit(1);
		writer_lock_ask_for(&lock);
		_exit(writer_lock_wait(&lock, NULL) == 0 && writer_lock_is_wanted(&lock) == 0 ? 0
											      : 2);
	}
	return pid;
}

static void test_a_holder_gives_it_to_who_waits(void **state)
{
	struct writer_lock lock = opened();
	int status = 0;
	pid_t waiter;

	(void)state;
	assert_int_equal(writer_lock_try(&lock), 0);
	assert_int_equal(writer_lock_is_wanted(&lock), 0);
	waiter = start_waiter();
	for (int i = 0; i < 2000 && writer_lock_is_wanted(&lock) == 0; i++)
		usleep(5000);
	assert_int_equal(writer_lock_is_wanted(&lock), 1);
	assert_int_equal(writer_lock_release(&lock), 0);
	assert_int_equal(waitpid(waiter, &status, 0), waiter);
	assert_int_equal(status, 0);
	assert_int_equal(writer_lock_is_wanted(&lock), 0);
	writer_lock_close(&lock);
}

/* Unlike flock(2), which a copied descriptor would keep. */
static void test_a_child_does_not_hold_it(void **state)
{
	struct writer_lock lock = opened();
	struct writer_lock second;
	pid_t child;

	(void)state;
	assert_int_equal(writer_lock_try(&lock), 0);
	child = fork();
	assert_op(child, >=, 0);
	if (child == 0)
		_exit(writer_lock_try(&lock) == -EAGAIN ? 0 : 1);
	{
		int status = 0;

		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	writer_lock_close(&lock);
	second = opened();
	assert_int_equal(writer_lock_try(&second), 0);
	writer_lock_close(&second);
}

static void test_a_file_that_went_is_no_lock(void **state)
{
	struct writer_lock lock = opened();
	struct writer_lock again;

	(void)state;
	assert_int_equal(writer_lock_try(&lock), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(writer_lock_check(&lock), -ESTALE);
	assert_int_equal(writer_lock_try(&lock), -ESTALE);
	again = opened();
	assert_int_equal(writer_lock_try(&again), 0);
	assert_int_equal(writer_lock_check(&again), 0);
	assert_int_equal(writer_lock_check(&lock), -ESTALE);
	writer_lock_close(&again);
	writer_lock_close(&lock);
}

/* The wait ends at a file that nobody else can find: the next one would be a second writer. */
static void test_a_wait_for_a_file_that_went(void **state)
{
	struct writer_lock lock = opened();
	int over;
	pid_t holder = start_holder(&over);

	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kill(holder, SIGKILL), 0);
	assert_int_equal(writer_lock_wait(&lock, NULL), -ESTALE);
	assert_int_equal(waitpid(holder, NULL, 0), holder);
	close(over);
	writer_lock_close(&lock);
	lock = opened();
	writer_lock_close(&lock);
}

static uint64_t cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void remove_fifo(void)
{
	char fifo[sizeof(path)];

	snprintf(fifo, sizeof(fifo), "%s", path);
	strcpy(strrchr(fifo, '.'), ".held");
	assert_int_equal(unlink(fifo), 0);
}

/* What tells of the holder's end is gone, or is not the holder's: the lock alone decides. */
static void test_a_fifo_that_went(void **state)
{
	struct writer_lock lock = opened();
	uint64_t before_us;
	int over;
	pid_t holder = start_holder(&over);

	(void)state;
	remove_fifo();
	writer_lock_close(&lock);
	lock = opened();
	assert_int_equal(writer_lock_try(&lock), -EAGAIN);
	before_us = cpu_us();
	assert_int_equal(kill(holder, SIGUSR1), 0);
	assert_int_equal(writer_lock_wait(&lock, NULL), 0);
	assert_op(cpu_us() - before_us, <, 100000u); /* of two seconds */
	assert_int_equal(waitpid(holder, NULL, 0), holder);
	close(over);
	writer_lock_close(&lock);
}

static uint32_t word;
static uint32_t nudge;

static void *say_stop(void *tid)
{
	usleep(20000);
	publish_u32(&word, 1);
	interrupt_wake(&word, (pid_t)(intptr_t)tid);
	return NULL;
}

/* However it waits: with the line held, without one, and without a descriptor for the signal. */
static void test_a_wait_that_is_told_to_end(void **state)
{
	sigset_t urgent, before;

	(void)state;
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &urgent, &before), 0);
	for (int how = 0; how < 3; how++) {
		struct writer_lock lock = opened();
		struct interrupt interrupt;
		pthread_t thread;
		int over;
		pid_t holder = start_holder(&over);

		publish_u32(&word, 0);
		interrupt_open(&interrupt, &word, 0, &nudge);
		assert_op(interrupt.fd, >=, 0);
		if (how == 1) {
			remove_fifo();
			writer_lock_close(&lock);
			lock = opened();
		}
		if (how == 2) {
			close(interrupt.fd);
			interrupt.fd = -1;
		}
		assert_int_equal(
			pthread_create(&thread, NULL, say_stop, (void *)(intptr_t)getpid()), 0);
		assert_int_equal(writer_lock_wait(&lock, &interrupt), -ECANCELED);
		assert_int_equal(pthread_join(thread, NULL), 0);
		if (interrupt.fd >= 0)
			close(interrupt.fd);
		assert_int_equal(kill(holder, SIGKILL), 0);
		assert_int_equal(waitpid(holder, NULL, 0), holder);
		close(over);
		writer_lock_close(&lock);
	}
	/* Never taken, it is gone with this. */
	assert_int_equal(signal(SIGURG, SIG_IGN), SIG_DFL);
	assert_int_equal(signal(SIGURG, SIG_DFL), SIG_IGN);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

static void *say_nudge(void *tid)
{
	usleep(20000);
	interrupt_nudge(&nudge, (pid_t)(intptr_t)tid);
	interrupt_nudge(&nudge, (pid_t)(intptr_t)tid);
	return NULL;
}

/* Each ends one wait, and no other one; a signal of the program's own stays where it is. */
static void test_a_wait_is_nudged(void **state)
{
	sigset_t urgent, before, pending;
	struct interrupt interrupt;
	struct pollfd fds[INTERRUPT_FDS];
	int timeout_ms = 1000;
	int over;
	pid_t holder = start_holder(&over);
	struct writer_lock lock = opened();

	(void)state;
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &urgent, &before), 0);
	publish_u32(&word, 0);
	interrupt_open(&interrupt, &word, 0, &nudge);
	assert_false(interrupt_take_nudge(&interrupt));
	for (int i = 0; i < 3; i++) {
		pthread_t thread;

		assert_int_equal(
			pthread_create(&thread, NULL, say_nudge, (void *)(intptr_t)getpid()), 0);
		assert_int_equal(writer_lock_wait(&lock, &interrupt), -EINTR);
		assert_int_equal(pthread_join(thread, NULL), 0);
		/* The second one may have come after the first was taken. */
		interrupt_take_nudge(&interrupt);
		interrupt_fds(&interrupt, fds, &timeout_ms);
		assert_int_equal(fds[0].fd, interrupt.fd);
		assert_int_equal(fds[1].fd, -1);
		assert_int_equal(timeout_ms, 1000);
	}
	assert_int_equal(kill(getpid(), SIGURG), 0);
	say_nudge((void *)(intptr_t)getpid());
	assert_true(interrupt_take_nudge(&interrupt));
	assert_int_equal(sigpending(&pending), 0);
	assert_true(sigismember(&pending, SIGURG));
	close(interrupt.fd);
	close(over);
	assert_int_equal(waitpid(holder, NULL, 0), holder);
	writer_lock_close(&lock);
	assert_int_equal(signal(SIGURG, SIG_IGN), SIG_DFL);
	assert_int_equal(signal(SIGURG, SIG_DFL), SIG_IGN);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* Of a holder that stands still; it belongs to a table of its own, and so do those who come. */
static void test_the_file_is_taken_away(void **state)
{
	struct writer_lock waiter = opened(), other = opened(), next, again;
	int over;
	pid_t holder = start_holder(&over);

	(void)state;
	assert_int_equal(kill(holder, SIGSTOP), 0);
	assert_true(waiter.table == other.table);
	assert_int_equal(writer_lock_try(&waiter), -EAGAIN);
	assert_int_equal(writer_lock_remove(&waiter), 0);
	assert_int_equal(writer_lock_check(&other), -ESTALE);
	assert_int_equal(writer_lock_try(&other), -ESTALE);
	next = opened();
	assert_false(next.table == waiter.table);
	assert_int_equal(writer_lock_try(&next), 0);
	/* Those who are late take nothing away from the one that holds it now. */
	assert_int_equal(writer_lock_remove(&other), 0);
	assert_int_equal(writer_lock_remove(&waiter), 0);
	assert_int_equal(writer_lock_check(&next), 0);
	again = opened();
	assert_true(again.table == next.table);
	assert_int_equal(kill(holder, SIGCONT), 0);
	close(over);
	assert_int_equal(waitpid(holder, NULL, 0), holder);
	writer_lock_close(&again);
	writer_lock_close(&next);
	writer_lock_close(&other);
	writer_lock_close(&waiter);
}

static unsigned mode_of(const char *of)
{
	struct stat status;

	assert_int_equal(stat(of, &status), 0);
	return status.st_mode & 0777;
}

/* Daemons make their sockets with such a umask. Without rights of its own to folder and file the
 * user would share nothing any more, until somebody removes them. */
static void test_a_umask_that_takes_our_own_rights(void **state)
{
	struct writer_lock lock = opened();
	char folder[128];
	mode_t before;

	(void)state;
	snprintf(folder, sizeof(folder), "/dev/shm/k8slb-%u", (unsigned)geteuid());
	writer_lock_close(&lock);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(chmod(folder, 0700 & ~0177), 0);
	before = umask(0377);
	lock = opened();
	umask(before);
	assert_int_equal(mode_of(folder), 0700);
	assert_int_equal(mode_of(path), 0600);
	writer_lock_close(&lock);
}

static void expect_refused(void)
{
	struct writer_lock lock;
	int rc = writer_lock_open(identity, &lock);

	assert_true(rc == -EPERM || rc == -ELOOP || rc == -EISDIR || rc == -ENXIO);
}

static void test_what_is_no_lock_file(void **state)
{
	struct writer_lock lock = opened();

	(void)state;
	writer_lock_close(&lock);
	assert_int_equal(chmod(path, 0666), 0);
	expect_refused();
	assert_int_equal(chmod(path, 0640), 0);
	expect_refused();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	expect_refused();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("nowhere", path), 0);
	expect_refused();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_refused();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	expect_refused();
	assert_int_equal(rmdir(path), 0);
	lock = opened();
	writer_lock_close(&lock);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(test_one_holder),
		TEST(test_a_wait_is_nudged),
		TEST(test_the_file_is_taken_away),
		TEST(test_a_killed_holder_hands_it_on),
		TEST(test_a_holder_gives_it_to_who_waits),
		TEST(test_a_child_does_not_hold_it),
		TEST(test_a_file_that_went_is_no_lock),
		TEST(test_a_wait_for_a_file_that_went),
		TEST(test_a_fifo_that_went),
		TEST(test_a_wait_that_is_told_to_end),
		TEST(test_a_umask_that_takes_our_own_rights),
		TEST(test_what_is_no_lock_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
