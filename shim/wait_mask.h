/* The signals and the cancellation of a thread whose wait is cut into stretches. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_WAIT_MASK_H
#define K8SLB_SHIM_WAIT_MASK_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "libc.h"

/*
 * A handler that runs between two stretches would be one that the program's wait never hears of:
 * poll(-1) went on where it had to say EINTR. So signals are closed from before the first stretch
 * until the end, and open within the kernel's waits alone, by the mask of ppoll(2) and its kin: as
 * in a wait that is not cut, a handler ends it, has the program's mask, and may leave by
 * siglongjmp(3). Left open are libc's own (setuid(2) in another thread waits for them) and those of
 * a fault: the kernel ends a process that has such a one closed, be there a handler or not.
 */
struct wait_mask {
	sigset_t program;
};

#define WAIT_MASK_BIT(signal) (UINT64_C(1) << ((signal) - 1))
#define WAIT_MASK_FAULTS                                                                      \
	(WAIT_MASK_BIT(SIGSEGV) | WAIT_MASK_BIT(SIGBUS) | WAIT_MASK_BIT(SIGFPE) |             \
	 WAIT_MASK_BIT(SIGILL) | WAIT_MASK_BIT(SIGTRAP) | WAIT_MASK_BIT(SIGSYS))

static inline void wait_mask_all(sigset_t *ret_all)
{
	uint64_t word;

	sigfillset(ret_all); /* each libc leaves its own ones out, here or in pthread_sigmask() */
	/* The first word has the kernel's 64, in both. */
	memcpy(&word, ret_all, sizeof(word));
	word &= ~WAIT_MASK_FAULTS;
	memcpy(ret_all, &word, sizeof(word));
}

static inline void wait_mask_begin(struct wait_mask *ret_mask)
{
	sigset_t all;

	wait_mask_all(&all);
	pthread_sigmask(SIG_SETMASK, &all, &ret_mask->program);
}

static inline void wait_mask_end(const struct wait_mask *mask)
{
	pthread_sigmask(SIG_SETMASK, &mask->program, NULL);
}

static inline void wait_mask_set(void *mask)
{
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/*
 * Before each stretch: a thread that was cancelled meanwhile ends here, and its cleanup handlers
 * have the mask that they have in a wait, @mask. libc's wait finds one that is cancelled right then
 * as well, but with signals closed. No handler and nothing else of the program runs between push
 * and pop, so nobody can leave the buffer behind.
 */
static inline void wait_mask_cancel(const sigset_t *mask)
{
	struct libc_cleanup buffer;

	libc_cleanup_push(&buffer, wait_mask_set, (void *)(uintptr_t)mask);
	pthread_testcancel();
	libc_cleanup_pop(&buffer);
}

#endif
