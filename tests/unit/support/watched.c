// SPDX-License-Identifier: Apache-2.0
/* What shim/patience.c asks the process for: in a unit test, which has none, each try is watched. */
#include "engine_state.h"
#include "process.h"

struct process *process_current(void)
{
	return NULL;
}

bool engine_state_has_watchdog(struct process *process, int fd)
{
	(void)process;
	(void)fd;
	return true;
}
