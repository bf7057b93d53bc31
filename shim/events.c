// SPDX-License-Identifier: Apache-2.0
#include "events.h"

#include <stdint.h>
#include <stdio.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "engine/log_file.h"
#include "libc.h"
#include "pending.h"
#include "pick/pick.h"
#include "process.h"
#include "state.h"

static uint32_t is_off;

static const char *const words[EVENTS_SURPRISES] = {
	[EVENTS_CLAIM_IS_LATE] = "a thread does not come back from a connection",
	[EVENTS_OTHER_SOCKET] = "a descriptor became another socket's while it was worked on",
	[EVENTS_UNKNOWN_RESULT] = "the kernel answered something unknown",
	[EVENTS_DATA_NOT_UNIQUE] = "two sockets of one epoll have the same data",
};

bool events_are_filtered(void)
{
	return shim.config.attempts > 1 && shim.config.events == EVENTS_ON && !peek_u32(&is_off) &&
	       libc_waits_are_libcs();
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
