// SPDX-License-Identifier: Apache-2.0
/*
 * setuid(2) and its kin: where our thread would answer differently, it ends before.
 *
 * The kernel keeps ids and capabilities for each thread. libc makes one process of it: it repeats a
 * change of ids in every thread, and aborts the program when the answers differ (glibc,
 * nptl/nptl_setxid.c). capset(2), a filter of seccomp(2), prctl(2) and the bare system calls change
 * the calling thread alone, which is all of the program as it knows itself. With other rights than
 * its own our thread would be allowed what the program is not, or the other way round. The next
 * match starts it again, with what the program has by then.
 */
#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/keep_errno.h"
#include "engine_state.h"
#include "go_program.h"
#include "libc.h"
#include "process.h"
#include "state.h"

static void before_change(void)
{
	KEEP_ERRNO();

	if (!engine_is_own_thread() && !engine_has_same_rights())
		engine_state_stop(process_current());
}

/* In a Go program no match comes by. */
static void after_change(void)
{
	if (!process_has_engine())
		engine_state_start(process_current());
}

#define HOOK(result, name, parameters, arguments, otherwise)          \
	__attribute__((visibility("default"))) result name parameters \
	{                                                             \
		bool acts = shim_active() && process_has_engine();    \
		result outcome;                                       \
                                                                      \
		if (acts)                                             \
			before_change();                              \
		outcome = libc_##name arguments;                      \
		if (acts && go_program_is_patched())                  \
			after_change();                               \
		return outcome;                                       \
	}

LIBC_ID_CALLS(HOOK)
