// SPDX-License-Identifier: Apache-2.0
#include "signal_frame.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/raw_syscall.h"

#define SIGNALS		  64
#define SA_NODEFER_FLAG	  0x40000000ul /* asm-generic/signal-defs.h */
#define SA_RESTORER_FLAG  0x04000000ul
#define PROBE_PAGE	  4096u
#define KEPT_TRAMPOLINES  4 /* each libc in the process has one */
#define VDSO_SIZE_AT_MOST 8192u

/* Other functions' frames are read here, whatever a sanitizer thinks of the gaps between them. */
#define UNWATCHED __attribute__((no_sanitize("address", "thread", "undefined")))

/* struct kernel_sigaction, which libc's sigaction() does not show: its restorer. */
struct kernel_action {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};

struct handlers {
	uint64_t blocked; /* bit N - 1: signal N has a handler and is blocked in this thread */
	bool reentrant;	  /* some handler does not block its signal (SA_NODEFER) */
	uintptr_t trampolines[KEPT_TRAMPOLINES];
	unsigned trampoline_count;
};

static void keep_trampoline(struct handlers *handlers, uintptr_t trampoline)
{
	for (unsigned i = 0; i < handlers->trampoline_count; i++) {
		if (handlers->trampolines[i] == trampoline)
			return;
	}
	if (handlers->trampoline_count < KEPT_TRAMPOLINES)
		handlers->trampolines[handlers->trampoline_count++] = trampoline;
}

static struct handlers find_handlers(void)
{
	struct handlers handlers = {.blocked = 0};
	uint64_t blocked = 0;

	if (raw_syscall(SYS_rt_sigprocmask, 0, NULL, &blocked, sizeof(blocked)) < 0)
		return handlers;
	for (unsigned signal = 1; signal <= SIGNALS; signal++) {
		struct kernel_action action = {.handler = 0};

		/* 0 and 1: SIG_DFL and SIG_IGN. */
		if (raw_syscall(SYS_rt_sigaction, signal, NULL, &action, sizeof(action.mask)) < 0 ||
		    action.handler <= 1)
			continue;
		if (action.flags & SA_NODEFER_FLAG)
			handlers.reentrant = true;
		handlers.blocked |= blocked & 1ull << (signal - 1);
		if (action.flags & SA_RESTORER_FLAG)
			keep_trampoline(&handlers, action.restorer);
	}
	return handlers;
}

/* A system call that reads the word and then refuses its own arguments: EFAULT or EINVAL. Beyond
 * a thread's stack there may be another's guard page. */
static bool is_readable(uintptr_t address)
{
	const int no_such_operation = -1;
	long rc =
		raw_syscall(SYS_rt_sigprocmask, no_such_operation, address, NULL, sizeof(uint64_t));

	return rc == 0 || errno != EFAULT;
}

static bool is_trampoline(const struct handlers *handlers, uintptr_t word)
{
#if !defined(__x86_64__)
	/* Without SA_RESTORER it is the kernel's own, in the vDSO. */
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);

	if (vdso && word >= vdso && word < vdso + VDSO_SIZE_AT_MOST)
		return true;
#endif
	for (unsigned i = 0; i < handlers->trampoline_count; i++) {
		if (word == handlers->trampolines[i])
			return true;
	}
	return false;
}

/* A signal that was not blocked before the handler of the frame at @address is so now. */
UNWATCHED static bool is_live(const struct handlers *handlers, uintptr_t address)
{
#if defined(__x86_64__)
	/* struct rt_sigframe (arch/x86/include/asm/sigframe.h): the trampoline, then struct
	 * ucontext, whose last 8 bytes of 304 are the mask to return to. */
	uintptr_t mask_at = address + 8 + 296;

	return handlers->reentrant ||
	       (is_readable(mask_at) && handlers->blocked & ~*(const uint64_t *)mask_at);
#else
	/* What was found is the link register that the handler saved: the frame is near, but where
	 * depends on its compiler. */
	(void)handlers;
	(void)address;
	return true;
#endif
}

UNWATCHED bool in_signal_handler(void)
{
	struct handlers handlers = find_handlers();
	uintptr_t begin = (uintptr_t)__builtin_frame_address(0);
	uintptr_t end = begin + SIGNAL_FRAME_REACH;

	if (!handlers.blocked && !handlers.reentrant)
		return false;
	for (uintptr_t at = begin; at < end; at += sizeof(uintptr_t)) {
		if ((at == begin || at % PROBE_PAGE == 0) && !is_readable(at))
			return false;
		if (is_trampoline(&handlers, *(const uintptr_t *)at) && is_live(&handlers, at))
			return true;
	}
	return false;
}
