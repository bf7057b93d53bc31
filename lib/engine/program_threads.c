// SPDX-License-Identifier: Apache-2.0
#include "engine/program_threads.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "engine/engine.h"
#include "engine/watchdog.h"

/* The links of this folder count the threads (proc_task_getattr()), the first and those that are
 * being released as well. */
unsigned process_threads(void)
{
	KEEP_ERRNO();
	struct stat task;

	if (raw_syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &task, 0) < 0 ||
	    task.st_nlink <= 2)
		return 0;
	return (unsigned)task.st_nlink - 2;
}

enum program_threads program_threads(bool has_engine)
{
	uint32_t engine_before = has_engine ? engine_number() : 0;
	uint32_t watchdog_before = watchdog_number();
	unsigned all = process_threads();
	/* Who has a number still after the question was counted in it. One too many of ours would hide
	 * one of the program's. */
	uint32_t engine_after = has_engine ? engine_number() : 0;
	uint32_t watchdog_after = watchdog_number();
	unsigned ours = !!engine_after + !!watchdog_after;

	if (!all)
		return PROGRAM_HAS_MORE;
	if (engine_before != engine_after || watchdog_before != watchdog_after ||
	    (has_engine && !engine_after) || watchdog_is_changing() || all < 1 + ours)
		return PROGRAM_IN_A_CHANGE;
	return all == 1 + ours ? PROGRAM_HAS_ONE : PROGRAM_HAS_MORE;
}
