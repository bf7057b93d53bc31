/* Whether the kernel would take a pointer of the caller, asked before the hook itself follows it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_READABLE_H
#define K8SLB_SHIM_READABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keep_errno.h"
#include "base/raw_syscall.h"

#define READABLE_PAGE 4096u /* of no machine is one smaller */

/*
 * rt_sigprocmask(2) copies the mask in before it finds that it does not know what to do with it:
 * EFAULT where nothing can be read, and else EINVAL (Abseil's AddressIsReadable() asks so, too).
 * One call for each page.
 */
static inline bool readable(const void *memory, size_t size)
{
	KEEP_ERRNO();
	uintptr_t word = (uintptr_t)memory & ~(uintptr_t)7;
	uintptr_t end = (uintptr_t)memory + size;
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	/* No mask at all is nothing that the kernel would read. */
	if (!word)
		return false;
	for (; word < end; word = (word | (READABLE_PAGE - 1)) + 1) {
		/* What a caller has on its stack is mostly in the page of our own frame. */
		if (!((word ^ frame) & ~(uintptr_t)(READABLE_PAGE - 1)))
			continue;
		if (raw_syscall(SYS_rt_sigprocmask, ~0, word, NULL, 8) < 0 && errno == EFAULT)
			return false;
	}
	return true;
}

/* What a caller has on its stack is mostly in the page of our own frame: no question is needed
 * there. */
static inline bool is_on_stack_page(const void *memory, size_t size)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	return !(((uintptr_t)memory ^ frame) & ~(uintptr_t)(READABLE_PAGE - 1)) &&
	       ((uintptr_t)memory & (READABLE_PAGE - 1)) + size <= READABLE_PAGE;
}

/* The same of two of them, which are often of one page. */
static inline bool is_same_page(const void *one, const void *other, size_t size)
{
	return ((uintptr_t)one & ~(uintptr_t)(READABLE_PAGE - 1)) ==
		       ((uintptr_t)other & ~(uintptr_t)(READABLE_PAGE - 1)) &&
	       ((uintptr_t)one & (READABLE_PAGE - 1)) + size <= READABLE_PAGE;
}

/* The kernel may write a time there; it has then. */
static inline bool writable_time(void *time)
{
	KEEP_ERRNO();

	/* 1: CLOCK_MONOTONIC. Not the vDSO's, which would fault here. */
	return raw_syscall(SYS_clock_gettime, 1, time) == 0;
}

#endif
