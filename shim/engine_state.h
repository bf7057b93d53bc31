/* The state of this process's engine: all of its changes are made here. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_ENGINE_STATE_H
#define K8SLB_SHIM_ENGINE_STATE_H

#include <stdbool.h>
#include <stdint.h>

struct process;
struct table_view;

/*
 *            adopted          a call could match            the thread is there
 *    UNSET ----------> NONE ---------------------> STARTING -------------------> STARTED
 *                       ^                             |                             |
 *                       |                             | no thread to be had         | ids change
 *                       |                             v                             v
 *                       +------------------------- STOPPING <-----------------------+
 *
 *    NONE ----> LEFT: for good, the first thread has ended
 *
 * UNSET is zero, as the kernel leaves the page (process.h) to a forked child. STARTING and STOPPING
 * are of one thread, which alone leaves them.
 */
enum engine_phase {
	ENGINE_UNSET,
	ENGINE_NONE,
	ENGINE_STARTING,
	ENGINE_STARTED,
	ENGINE_STOPPING,
	ENGINE_LEFT,
};

struct engine_state {
	uint32_t phase;	     /* enum engine_phase */
	uint64_t started_ms; /* of the engine at hand; 0: not yet. The deadline of all waits for its
				first table counts from here. */
	uint64_t retry_at_ms; /* after a failed start: not before this time */
};

/* After the engine could not be started (no memory, RLIMIT_NPROC), the next try comes at the first
 * match after this time. */
#define ENGINE_RETRY_MS 5000

/* All that follows keeps errno. What is said to be async-signal-safe takes no lock and allocates
 * nothing. */

/* UNSET to NONE, by the thread that adopts the page for this process. Async-signal-safe. */
void engine_state_adopt(struct process *process);

/* It was started, and did not end. One load. Async-signal-safe. */
bool engine_state_is_started(const struct process *process);

/*
 * For a call that could match: starts the engine where there is none. Not in a signal handler and
 * not in a child of vfork(); the next call does. Async-signal-safe, because it does nothing there.
 */
void engine_state_start(struct process *process);

/*
 * For a call that may wait in libc's connect() of @fd: the watchdog is there (engine/watchdog.h), or
 * is started with the engine at hand, where a thread may be. Never with an agent's table, which has
 * no engine. Usually two loads.
 */
bool engine_state_has_watchdog(struct process *process, int fd);

/* Another thread of a forked child is adopting it, for some microseconds: waits for that, 10 ms at
 * most. Async-signal-safe. */
void engine_state_await_adoption(const struct process *process);

/*
 * Waits for the first table of the engine at hand, at most @longest_wait_ms and never beyond
 * K8SLB_SYNC_TIMEOUT after its start; no more when its first attempt has failed, when there is
 * none, or, with @ends_by_signal, when a handler ran. Not on the thread that is starting it.
 * Async-signal-safe.
 */
void engine_state_await_table(const struct process *process, uint32_t longest_wait_ms,
			      bool ends_by_signal);

/* For a call that could match: where the writer of @view, the table in use (NULL: none), has had no
 * beat for so long that another one may take its place, this process's engine is told to look.
 * Async-signal-safe. */
void engine_state_check_writer(const struct process *process, const struct table_view *view);

/* Ends the engine, waiting ENGINE_LEAVE_MS at most for it; the next call that could match starts
 * it again, and waits for its table as the first one did. Nothing in a child of vfork(). */
void engine_state_stop(struct process *process);

/* The same for good, and also where none was started yet. */
void engine_state_leave(struct process *process);

#endif
