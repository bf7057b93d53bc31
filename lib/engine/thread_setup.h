/* Makes the calling thread a good guest: no signals, no shared descriptors, a name. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_THREAD_SETUP_H
#define K8SLB_ENGINE_THREAD_SETUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Starts a joinable thread with all signals blocked and a stack of its own size, whatever defaults
 * the host has set. Returns 0 or -errno; -ENOMEM where all that is mapped is locked, mlockall(2)
 * with MCL_FUTURE, and RLIMIT_MEMLOCK leaves so little that the program would miss what the thread
 * takes.
 */
int guest_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread);

/* Of the calling thread, first of all: its number is in *@tid from here on, and who waits for that is
 * woken. */
void guest_thread_begin(uint32_t *tid);

/*
 * Waits until the thread that was just started has called guest_thread_begin() with @tid, which was 0,
 * 100 ms at most. Before anything of ours runs there libc registers the thread with the kernel, and ends
 * the whole process where that is refused (glibc 2.35: "rseq registration failed"): by a filter that
 * the program puts on all of its threads as soon as our hook has returned.
 */
void guest_thread_await_begin(const uint32_t *tid);

/* Waits until libc counts the thread no more, at most @longest_wait_ms. False when it was not gone in
 * time. */
bool guest_thread_join(pthread_t thread, uint32_t longest_wait_ms);

/*
 * Waits until the kernel, too, counts the joined thread @tid (0: it had no number yet) no more, at
 * most to @deadline_ms of clock_monotonic_ms(). It wakes who joins a thread before it takes that out
 * of the process (mm_release() and release_task() in kernel/), and in between closes all its
 * sockets: setns() and unshare() would meet two threads.
 */
void guest_thread_await_removal(pid_t tid, uint64_t deadline_ms);

/*
 * Gives the calling thread a file descriptor table of its own, empty but for /dev/null at 0 to 2:
 * by close_range(2) (Linux 5.9), else by unshare(2), which container runtimes' seccomp filters
 * refuse. Returns 0, or -errno where neither is allowed: the table is then still the host's, and
 * untouched.
 */
int guest_thread_own_fd_table(void);

/* False under ThreadSanitizer, which takes equal numbers of two tables for one descriptor: then
 * guest_thread_own_fd_table() does nothing. */
bool guest_thread_may_own_fd_table(void);

/* Gives up a realtime policy and a negative nice value that the calling thread got from the one
 * that started it: background work must not compete with what they are meant for. */
void guest_thread_yield_priority(void);

/* As shown by ps -L and top -H. */
void guest_thread_name(const char *name);

#endif
