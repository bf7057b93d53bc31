/* A few steps of a hook that nothing may end halfway: what they claim would stay taken. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_UNDISTURBED_H
#define K8SLB_BASE_UNDISTURBED_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/*
 * A handler of the program may leave a hook for good, by siglongjmp(3), and a cancelled thread
 * leaves it at any cancellation point of the program's malloc() and the like. Between begin and end
 * no handler runs on the calling thread and it is not cancelled; both come after that. libc's own
 * signals stay open: setuid(2) in another thread waits for this one. Two to four system calls, so
 * for what happens once a process; for what takes long see shim/claim.h.
 */
struct undisturbed {
	sigset_t signals;
	int cancellation;
};

static inline void undisturbed_begin(struct undisturbed *ret_before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ret_before->cancellation);
	pthread_sigmask(SIG_SETMASK, &all, &ret_before->signals);
}

/*
 * In this order, and with a deferred type in between. A handler that leaves for good runs as soon as
 * signals are open: cancellation would stay disabled. And where the thread was cancelled meanwhile,
 * pthread_setcancelstate() of glibc ends one of asynchronous type at once, without telling
 * pthread_join(3) that it was: the result would be NULL; pthread_setcanceltype() tells it.
 */
static inline void undisturbed_end(const struct undisturbed *before)
{
	int type;

	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	pthread_setcancelstate(before->cancellation, NULL);
	pthread_sigmask(SIG_SETMASK, &before->signals, NULL);
	if (type != PTHREAD_CANCEL_DEFERRED)
		pthread_setcanceltype(type, NULL);
}

#endif
