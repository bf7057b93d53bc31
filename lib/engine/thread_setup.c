// SPDX-License-Identifier: Apache-2.0
#include "engine/thread_setup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/raw_syscall.h"

/* TLS handshakes, name lookups and JSON of bounded depth touch 32 KiB and need less than 64; the
 * rest is for the thread-local variables of the host, which glibc takes from the stack. Untouched
 * pages cost nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE (2048 * 1024)
#else
#define STACK_SIZE (512 * 1024)
#endif

/* Between two looks whether a thread has begun or ended. */
#define FIRST_LOOK_NS 20000
#define LAST_LOOK_NS  1000000

#define LONGEST_BEGIN_MS 100

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define CLOSE_RANGE_UNSHARE_FLAG (1u << 1) /* linux/close_range.h, Linux 5.9 */

/*
 * An arena of 64 MiB, which glibc cuts out of twice that; without room for it each malloc() of a
 * thread takes a page of its own. The rest is for the program.
 */
#define LOCKED_ROOM (256ul << 20)

/* The kernel counts a mapping as it is made, and says EAGAIN for this alone (mm/mmap.c,
 * mlock_future_ok()). One without access takes no memory. */
static bool locked_memory_is_short(void)
{
	void *room = mmap(NULL, LOCKED_ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);

	if (room == MAP_FAILED)
		return errno == EAGAIN;
	munmap(room, LOCKED_ROOM);
	return false;
}

int guest_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	int rc;

	if (locked_memory_is_short())
		return -ENOMEM;
	rc = pthread_attr_init(&attributes);
	if (rc)
		return -rc;
	rc = pthread_attr_setstacksize(&attributes, STACK_SIZE);
	/* The thread inherits the mask: a handler of the host must never run on it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc == 0)
		rc = pthread_create(ret_thread, &attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -rc;
}

/* Sleeps, longer from time to time. */
static void pause_between_looks(struct timespec *pause)
{
	static const uint32_t never;

	raw_syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, pause, NULL, 0);
	if (pause->tv_nsec < LAST_LOOK_NS)
		pause->tv_nsec *= 2;
}

void guest_thread_await_begin(const uint32_t *tid)
{
	uint64_t deadline_ms = clock_monotonic_ms() + LONGEST_BEGIN_MS;
	struct timespec pause = {.tv_nsec = FIRST_LOOK_NS};

	while (!peek_u32(tid) && clock_monotonic_ms() < deadline_ms)
		pause_between_looks(&pause);
}

bool guest_thread_join(pthread_t thread, uint32_t longest_wait_ms)
{
	uint64_t deadline_ms = clock_monotonic_ms() + longest_wait_ms;
	struct timespec pause = {.tv_nsec = FIRST_LOOK_NS};

	/* Not pthread_timedjoin_np(): its time is the wall clock, which may be set back, and it is
	 * a cancellation point. */
	while (pthread_tryjoin_np(thread, NULL) != 0) {
		if (clock_monotonic_ms() >= deadline_ms)
			return false;
		pause_between_looks(&pause);
	}
	return true;
}

void guest_thread_await_removal(pid_t tid, uint64_t deadline_ms)
{
	struct timespec pause = {.tv_nsec = FIRST_LOOK_NS};

	while (tid && raw_syscall(SYS_tgkill, getpid(), tid, 0) == 0 &&
	       clock_monotonic_ms() < deadline_ms)
		pause_between_looks(&pause);
}

/* After unshare(): the copies of the host's descriptors, which would keep its pipes from reaching
 * their end. Past the hook of close(), which knows the host's numbers. A directory that changes
 * while it is read is read again. */
static void close_copies(void)
{
	bool closed = true;

	/* Room for the directory's own descriptor where the host has used up its limit. */
	for (int fd = 0; fd <= 2; fd++)
		raw_syscall(SYS_close, fd);
	while (closed) {
		DIR *directory = opendir("/proc/thread-self/fd");
		const struct dirent *entry;

		closed = false;
		while (directory && (entry = readdir(directory))) {
			int fd = atoi(entry->d_name);

			if (entry->d_name[0] != '.' && fd != dirfd(directory))
				closed = raw_syscall(SYS_close, fd) == 0 || closed;
		}
		if (directory)
			closedir(directory);
	}
}

/* Defined in a program that was built with ThreadSanitizer, as our own sanitized build is. */
extern void __tsan_init(void) __attribute__((weak));

bool guest_thread_may_own_fd_table(void)
{
	return !__tsan_init;
}

int guest_thread_own_fd_table(void)
{
	if (!guest_thread_may_own_fd_table())
		return 0;
	/*
	 * With a shared table a host that closes all descriptors (daemons, ssh) would close ours
	 * and get their numbers again: TLS records in its files.
	 */
	if (raw_syscall(SYS_close_range, 0u, UINT_MAX, CLOSE_RANGE_UNSHARE_FLAG) < 0) {
		/* Without /proc the copies could not be found. */
		if (access("/proc/thread-self/fd", X_OK) < 0 ||
		    raw_syscall(SYS_unshare, CLONE_FILES) < 0)
			return -errno;
		close_copies();
	}
	/* Whatever code of the host's libc prints here (malloc's "corrupted ..."), it must not go
	 * to a socket that got number 2. */
	for (int fd = 0; fd <= 2; fd++) {
		if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
			break;
	}
	return 0;
}

void guest_thread_yield_priority(void)
{
	static const struct sched_param none = {0};
	long policy = raw_syscall(SYS_sched_getscheduler, 0); /* musl's functions say ENOSYS */

	if (policy == SCHED_FIFO || policy == SCHED_RR)
		raw_syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &none);
	if (getpriority(PRIO_PROCESS, 0) < 0)
		setpriority(PRIO_PROCESS, 0, 0);
}

void guest_thread_name(const char *name)
{
	prctl(PR_SET_NAME, (unsigned long)name, 0, 0, 0);
}
