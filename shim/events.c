// SPDX-License-Identifier: Apache-2.0
#include "events.h"

#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "engine/log_file.h"
#include "engine/program_threads.h"
#include "pending.h"
#include "pick/pick.h"
#include "process.h"
#include "state.h"

/* A thread that was joined is counted for some microseconds on, longer on a busy machine: curl joins the one
 * of its lookup right before it connects. 6 ms in all, once in the life of a program with threads. */
#define FIRST_PAUSE_NS 50000
#define LAST_PAUSE_NS  3200000

static uint32_t is_off;

static const char *const words[EVENTS_SURPRISES] = {
	[EVENTS_CLAIM_IS_LATE] = "a thread does not come back from a connection",
	[EVENTS_OTHER_SOCKET] = "a descriptor became another socket's while it was worked on",
	[EVENTS_UNKNOWN_RESULT] = "the kernel answered something unknown",
	[EVENTS_DATA_NOT_UNIQUE] = "two sockets of one epoll have the same data",
};

bool events_are_filtered(void)
{
	if (shim.config.attempts <= 1 || shim.config.events == EVENTS_OFF || peek_u32(&is_off))
		return false;
	return shim.config.events == EVENTS_ON || !peek_u32(&process_current()->had_threads);
}

bool events_may_act(void)
{
	KEEP_ERRNO();
	struct process *process = process_current();
	enum program_threads threads;
	struct timespec pause = {.tv_nsec = FIRST_PAUSE_NS};

	if (shim.config.events == EVENTS_ON)
		return true;
	if (peek_u32(&process->had_threads))
		return false;
	while ((threads = program_threads(engine_state_is_started(process))) != PROGRAM_HAS_ONE &&
	       pause.tv_nsec <= LAST_PAUSE_NS) {
		uint32_t never = 0;

		raw_syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &pause, NULL, 0);
		pause.tv_nsec *= 2;
	}
	if (threads == PROGRAM_HAS_MORE)
		poke_u32(&process->had_threads, 1);
	return threads == PROGRAM_HAS_ONE;
}

/* noinline: the line takes stack that nothing else of a hook is to have beside it. */
__attribute__((noinline)) static void tell(enum events_surprise surprise)
{
	char line[160];

	snprintf(line, sizeof(line),
		 "non-blocking connections are not failed over in this process from now on: %s",
		 words[surprise]);
	log_file_write(&shim.config, LOG_LEVEL_ERROR, line);
}

void events_off(enum events_surprise surprise)
{
	KEEP_ERRNO();
	struct pick_state state;

	if (!claim_u32(&is_off, 0, 1))
		return;
	pending_unwatch_all();
	process_pick_state(process_current(), &state);
	pick_memory_count(state.memory, PICK_COUNT_SURPRISES);
	tell(surprise);
}
