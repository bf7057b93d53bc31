// SPDX-License-Identifier: Apache-2.0
#include "engine_state.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "base/undisturbed.h"
#include "engine/log_file.h"
#include "engine/watchdog.h"
#include "process.h"
#include "signal_frame.h"
#include "state.h"

/* 10 ms: whoever adopts may have to wait for a processor. */
#define ADOPTION_PAUSE_NS 100000
#define ADOPTION_PAUSES	  100
#define CHANGE_PAUSE_NS	  1000000

/* This thread is in pthread_create(): its malloc() may be the program's and call connect(), which
 * must not wait for what this very thread is to begin. */
static __thread bool starting;

/* A child of vfork(), or of clone(CLONE_VM), has its parent's memory and none of its threads. */
static bool is_ours(const struct process *process)
{
	return peek_u32(&process->pid) == (uint32_t)getpid();
}

/* A moment, unless it is in another phase already. Not nanosleep(), a cancellation point. */
static void pause_in(const struct engine_state *state, enum engine_phase phase, long ns)
{
	const struct timespec pause = {.tv_nsec = ns};

	raw_syscall(SYS_futex, &state->phase, FUTEX_WAIT_PRIVATE, phase, &pause, NULL, 0);
}

void engine_state_adopt(struct process *process)
{
	struct engine_state *state = &process->engine;

	engine_begin(&shim.link);
	poke_u64(&state->started_ms, 0);
	poke_u64(&state->retry_at_ms, 0);
	publish_u32(&state->phase, ENGINE_NONE); /* observed by all that look at it */
}

/* STOPPING, and the first sync is pending: those who wait for it see the one or the other. */
static void wake_and_leave_stopping(struct engine_state *state)
{
	engine_wake(&shim.link);
	poke_u64(&state->started_ms, 0);
	publish_u32(&state->phase, ENGINE_NONE);
}

static void start(struct engine_state *state, uint64_t now)
{
	int rc;

	poke_u64(&state->started_ms, now);
	starting = true;
	rc = engine_start(&shim.config, &shim.link);
	starting = false;
	if (rc == 0) {
		publish_u32(&state->phase, ENGINE_STARTED);
		return;
	}
	log_file_write(&shim.config, LOG_LEVEL_ERROR,
		       rc == -ENOMEM
			       ? "cannot start a thread: not enough memory, or little of it may "
				 "be locked (RLIMIT_MEMLOCK) after mlockall(); trying again in 5 s"
			       : "cannot start a thread, trying again in 5 s");
	poke_u64(&state->retry_at_ms, now + ENGINE_RETRY_MS);
	publish_u32(&state->phase, ENGINE_STOPPING);
	engine_begin(&shim.link);
	wake_and_leave_stopping(state);
}

bool engine_state_is_started(const struct process *process)
{
	return peek_u32(&process->engine.phase) == ENGINE_STARTED;
}

void engine_state_start(struct process *process)
{
	KEEP_ERRNO();
	struct engine_state *state = &process->engine;
	struct undisturbed before;
	uint64_t now;

	if (observe_u32(&state->phase) != ENGINE_NONE)
		return;
	now = clock_monotonic_ms();
	/* A thread that a vfork() child started would be in its own process, and the mark of it in
	 * its parent's memory. */
	if (now < peek_u64(&state->retry_at_ms) || !is_ours(process) || in_signal_handler())
		return;
	undisturbed_begin(&before);
	if (claim_u32(&state->phase, ENGINE_NONE, ENGINE_STARTING))
		start(state, now);
	undisturbed_end(&before);
}

bool engine_state_has_watchdog(struct process *process, int fd)
{
	KEEP_ERRNO();
	struct undisturbed before;
	bool there = watchdog_is_there();

	if (there || starting || !engine_state_is_started(process) || !watchdog_may_start() ||
	    !is_ours(process) || in_signal_handler())
		return there;
	undisturbed_begin(&before);
	starting = true;
	there = watchdog_start(fd, &process->engine.phase, ENGINE_STARTED,
			       shim.config.connect_timeout_ms);
	starting = false;
	undisturbed_end(&before);
	return there;
}

void engine_state_await_adoption(const struct process *process)
{
	KEEP_ERRNO();

	for (unsigned i = 0;
	     i < ADOPTION_PAUSES && observe_u32(&process->engine.phase) == ENGINE_UNSET; i++)
		pause_in(&process->engine, ENGINE_UNSET, ADOPTION_PAUSE_NS);
}

/* Not of an engine that has left: each call would wait in full for a table that nobody makes. */
static bool table_may_come(const struct process *process)
{
	uint32_t phase = observe_u32(&process->engine.phase);

	return phase == ENGINE_STARTING || phase == ENGINE_STARTED;
}

void engine_state_await_table(const struct process *process, uint32_t longest_wait_ms,
			      bool ends_by_signal)
{
	KEEP_ERRNO();
	uint64_t now = clock_monotonic_ms();
	uint64_t started = peek_u64(&process->engine.started_ms);
	uint64_t deadline;

	/* 0: the thread that starts the engine has not written it yet, so it is now. */
	if (!started)
		started = now;
	/* Counted from the start, so that an event loop is not held up by each of its next calls.
	 */
	if (longest_wait_ms > shim.config.sync_timeout_ms)
		longest_wait_ms = shim.config.sync_timeout_ms;
	deadline = started + longest_wait_ms;
	while (!starting && now < deadline) {
		/* Before the phase: an engine that ends in between has changed it by then. */
		uint32_t first_sync = observe_u32(&shim.link.first_sync);
		struct timespec left = {
			.tv_sec = (time_t)((deadline - now) / 1000),
			.tv_nsec = (long)((deadline - now) % 1000) * 1000000,
		};

		if (engine_sync_of(first_sync) != ENGINE_SYNC_PENDING || !table_may_come(process))
			break;
		/* A handler ran, so the program may be in a hurry. EINTR would be wrong: the
		 * connection has not begun, and who gets EINTR from connect() polls for its end. */
		if (raw_syscall(SYS_futex, &shim.link.first_sync, FUTEX_WAIT_PRIVATE, first_sync,
				&left, NULL, 0) < 0 &&
		    ends_by_signal && errno == EINTR)
			break;
		now = clock_monotonic_ms();
	}
}

void engine_state_check_writer(const struct process *process, const struct table_view *view)
{
	KEEP_ERRNO();

	if (view && table_silence_ms(view, clock_coarse_ms()) >= TABLE_GONE_MS &&
	    engine_state_is_started(process) && is_ours(process))
		engine_nudge();
}

void engine_state_stop(struct process *process)
{
	KEEP_ERRNO();
	struct engine_state *state = &process->engine;
	struct undisturbed before;

	undisturbed_begin(&before);
	if (is_ours(process) && claim_u32(&state->phase, ENGINE_STARTED, ENGINE_STOPPING)) {
		watchdog_stop();
		engine_stop();
		wake_and_leave_stopping(state);
	}
	undisturbed_end(&before);
}

void engine_state_leave(struct process *process)
{
	KEEP_ERRNO();
	struct engine_state *state = &process->engine;
	uint64_t deadline = clock_monotonic_ms() + ENGINE_LEAVE_MS;

	while (is_ours(process) && !claim_u32(&state->phase, ENGINE_NONE, ENGINE_LEFT) &&
	       clock_monotonic_ms() < deadline) {
		enum engine_phase phase = observe_u32(&state->phase);

		if (phase == ENGINE_STARTED)
			engine_state_stop(process);
		else /* another thread is just starting or stopping it */
			pause_in(state, phase, CHANGE_PAUSE_NS);
	}
}
