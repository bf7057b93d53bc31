// SPDX-License-Identifier: Apache-2.0
/*
 * setuid(2) and its kin: where our thread would answer differently, it ends before.
 *
 * The kernel keeps ids and capabilities for each thread. libc makes one process of it: it repeats a
 * change of ids in every thread, and aborts the program when the answers differ (glibc,
 * nptl/nptl_setxid.c). capset(2) and prctl(PR_SET_KEEPCAPS) change the calling thread alone, which
 * is all of the program as it knows itself. With other capabilities than its own our thread would
 * be allowed what the program is not, or the other way round. The next match starts it again, with
 * what the program has by then.
 */
#include <errno.h>
#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include "engine_state.h"
#include "libc.h"
#include "process.h"
#include "state.h"

#define LONGEST_WAIT_MS 50u

static void before_change(void)
{
	int saved_errno = errno;

	if (!shim_active() || !process_has_engine())
		return;
	if (!engine_is_own_thread() && !engine_shares_capabilities())
		engine_state_stop(process_current(), LONGEST_WAIT_MS);
	errno = saved_errno;
}

#define BEFORE_CHANGE(name, parameters, arguments)                 \
	__attribute__((visibility("default"))) int name parameters \
	{                                                          \
		before_change();                                   \
		return libc_##name arguments;                      \
	}

BEFORE_CHANGE(setuid, (uid_t uid), (uid))
BEFORE_CHANGE(setgid, (gid_t gid), (gid))
BEFORE_CHANGE(seteuid, (uid_t uid), (uid))
BEFORE_CHANGE(setegid, (gid_t gid), (gid))
BEFORE_CHANGE(setreuid, (uid_t real, uid_t effective), (real, effective))
BEFORE_CHANGE(setregid, (gid_t real, gid_t effective), (real, effective))
BEFORE_CHANGE(setresuid, (uid_t real, uid_t effective, uid_t saved), (real, effective, saved))
BEFORE_CHANGE(setresgid, (gid_t real, gid_t effective, gid_t saved), (real, effective, saved))
BEFORE_CHANGE(setgroups, (size_t count, const gid_t *groups), (count, groups))
BEFORE_CHANGE(initgroups, (const char *user, gid_t group), (user, group))
