// SPDX-License-Identifier: Apache-2.0
#include "activate.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>
#include <unistd.h>

#include "attach.h"
#include "base/clock.h"
#include "base/raw_syscall.h"
#include "process.h"
#include "signal_frame.h"
#include "state.h"
#include "view.h"

/* 10 ms: whoever adopts may have to wait for a processor. */
#define ADOPTION_PAUSE_NS 100000
#define ADOPTION_PAUSES	  100

/* This thread is in pthread_create(): its malloc() may be the program's and call connect(), which
 * must not wait for what this very thread is to begin. */
static __thread bool starting;

bool activate_could_match(const struct ip_address *ip, uint16_t port)
{
	const struct config *config = &shim.config;

	if (ip_never_cluster(ip))
		return false;
	for (unsigned i = 0; i < config->service_count; i++) {
		const struct service_ref *ref = &config->services[i];

		if (ref->has_vip) {
			if (ip_equal(&ref->vip, ip) &&
			    port == (ref->vip_port ? ref->vip_port : ref->port))
				return true;
		} else if (!ref->port || ref->port == port) {
			return true;
		}
	}
	return false;
}

static void start_engine(struct process *process)
{
	uint64_t now;
	int rc;

	/* Pairs with the publish in adopt(). */
	if (observe_u32(&process->engine) != PROCESS_ENGINE_NONE)
		return;
	now = clock_monotonic_ms();
	if (now < peek_u64(&process->retry_at_ms))
		return;
	/* A vfork() child or a clone(CLONE_VM) one would start the thread in its own process but
	 * leave the mark of it in its parent's memory. */
	if ((uint32_t)getpid() != peek_u32(&process->pid) || in_signal_handler())
		return;
	if (!claim_u32(&process->engine, PROCESS_ENGINE_NONE, PROCESS_ENGINE_STARTING))
		return;
	if (!peek_u64(&process->started_ms))
		poke_u64(&process->started_ms, now);
	starting = true;
	rc = k8slb_engine.start(&shim.config, &shim.link);
	starting = false;
	if (rc < 0) {
		poke_u64(&process->retry_at_ms, now + ACTIVATE_RETRY_MS);
		k8slb_engine.log_message(&shim.config, LOG_LEVEL_ERROR,
					 "cannot start a thread, trying again in 5 s");
	}
	publish_u32(&process->engine, rc < 0 ? PROCESS_ENGINE_NONE : PROCESS_ENGINE_STARTED);
}

static void wait_first_sync(const struct process *process, uint32_t longest_wait_ms,
			    bool ends_by_signal)
{
	uint32_t *word = &shim.link.first_sync;
	uint64_t now = clock_monotonic_ms();
	uint64_t started = peek_u64(&process->started_ms);
	uint64_t deadline;

	/* 0: the thread that starts the engine has not written it yet, so it is now. */
	if (!started)
		started = now;
	/* Counted from the first call, so that an event loop is not held up by each of its next. */
	if (longest_wait_ms > shim.config.sync_timeout_ms)
		longest_wait_ms = shim.config.sync_timeout_ms;
	deadline = started + longest_wait_ms;
	while (observe_u32(word) == ENGINE_SYNC_PENDING && now < deadline) {
		struct timespec left = {
			.tv_sec = (time_t)((deadline - now) / 1000),
			.tv_nsec = (long)((deadline - now) % 1000) * 1000000,
		};

		/* A handler ran, so the program may be in a hurry. EINTR would be wrong: the
		 * connection has not begun, and who gets EINTR from connect() polls for its end. */
		if (raw_syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, ENGINE_SYNC_PENDING, &left,
				NULL, 0) < 0 &&
		    ends_by_signal && errno == EINTR)
			break;
		now = clock_monotonic_ms();
	}
}

/* Another thread of a forked child is in adopt(), for some microseconds: without waiting for that
 * this one would go to libc although it has the time to wait for a table. */
static void await_adoption(const struct process *process)
{
	struct timespec pause = {.tv_nsec = ADOPTION_PAUSE_NS};

	for (unsigned i = 0; i < ADOPTION_PAUSES && observe_u32(&process->engine) == PROCESS_UNSET;
	     i++)
		raw_syscall(SYS_futex, &process->engine, FUTEX_WAIT_PRIVATE, PROCESS_UNSET, &pause,
			    NULL, 0);
}

/* Not of an engine that has left: each call would wait in full for a table that nobody makes. */
static bool table_may_come(const struct process *process)
{
	uint32_t engine = observe_u32(&process->engine); /* pairs with start_engine() */

	return engine == PROCESS_ENGINE_STARTING || engine == PROCESS_ENGINE_STARTED;
}

static const struct table_view *start_and_wait(uint32_t longest_wait_ms, bool ends_by_signal)
{
	int saved_errno = errno;
	struct process *process = process_current();
	const struct table_view *view;

	if (longest_wait_ms > 0)
		await_adoption(process); /* pairs with the publish in adopt() */
	start_engine(process);
	view = current_view();
	if (!view && longest_wait_ms > 0 && !starting && table_may_come(process)) {
		wait_first_sync(process, longest_wait_ms, ends_by_signal);
		view = current_view();
	}
	errno = saved_errno;
	return view;
}

bool activate_is_done(const struct table_view *view)
{
	return attach_is_used() ? !attach_is_due(view) : process_has_engine();
}

const struct table_view *activate(uint32_t longest_wait_ms)
{
	if (attach_is_used())
		return attach();
	return start_and_wait(longest_wait_ms, true);
}

const struct table_view *activate_for_lookup(void)
{
	if (attach_is_used())
		return attach();
	return start_and_wait(UINT32_MAX, false);
}
