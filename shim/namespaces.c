// SPDX-License-Identifier: Apache-2.0
/*
 * setns(2) and unshare(2): what the kernel lets only a process of one thread do, our thread ends
 * before.
 *
 * A user or time namespace is entered, and a user namespace is left for a new one, by nobody who
 * has another thread (kernel/user_namespace.c, userns_install(); kernel/time/namespace.c,
 * timens_install(); kernel/fork.c, check_unshare_flags()); a mount namespace by nobody whose root
 * and working directory another thread shares (fs/namespace.c, mntns_install()). The thread has no
 * root of its own for that: it would stay outside of the program's chroot(2). The next match starts
 * it again, in the namespaces that the program has by then.
 */
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "engine_state.h"
#include "go_program.h"
#include "libc.h"
#include "process.h"
#include "state.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef NS_GET_NSTYPE
#define NS_GET_NSTYPE _IO(0xb7, 0x3) /* Linux 4.11 */
#endif

/* Returns whether it is to be begun again afterwards: in a Go program no match comes by. */
static bool end_engine(void)
{
	if (!shim_active() || !process_has_engine() || engine_is_own_thread())
		return false;
	engine_state_stop(process_current());
	return go_program_is_patched();
}

static void begin_engine(bool ended)
{
	if (ended)
		engine_state_start(process_current());
}

/* @type 0: any, which the kernel tells, but of a process's descriptor. */
static bool is_for_one_thread(int fd, int type)
{
	KEEP_ERRNO();

	if (type == 0)
		type = (int)raw_syscall(SYS_ioctl, fd, NS_GET_NSTYPE);
	return type < 0 || (type & (CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWTIME));
}

__attribute__((visibility("default"))) int setns(int fd, int type)
{
	bool ended = false;
	int rc;

	if (shim_active() && process_has_engine() && is_for_one_thread(fd, type))
		ended = end_engine();
	rc = libc_setns(fd, type);
	begin_engine(ended);
	return rc;
}

__attribute__((visibility("default"))) int unshare(int flags)
{
	bool ended = false;
	int rc;

	if (flags & (CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM))
		ended = end_engine();
	rc = libc_unshare(flags);
	begin_engine(ended);
	return rc;
}
