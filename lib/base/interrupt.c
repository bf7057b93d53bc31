// SPDX-License-Identifier: Apache-2.0
#include "base/interrupt.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"

/* Waits without a descriptor, and pauses where the kernel refuses futexes. */
#define BLIND_WAIT_MS  50
#define BLIND_PAUSE_MS 1000u

void interrupt_open(struct interrupt *ret_interrupt, const uint32_t *word, uint32_t value,
		    uint32_t *nudge)
{
	const uint64_t signals = UINT64_C(1) << (SIGURG - 1);

	*ret_interrupt = (struct interrupt){
		.word = word,
		.value = value,
		.nudge = nudge,
		.other_fd = -1,
		.fd = (int)raw_syscall(SYS_signalfd4, -1, &signals, sizeof(signals),
				       SFD_CLOEXEC | SFD_NONBLOCK),
	};
}

bool interrupt_is_set(const struct interrupt *interrupt)
{
	/* Pairs with the publish of whoever sets it. */
	return interrupt && observe_u32(interrupt->word) != interrupt->value;
}

void interrupt_pause(const struct interrupt *interrupt, uint32_t ms)
{
	static const uint32_t never;
	const uint32_t *word = interrupt ? interrupt->word : &never;
	uint32_t value = interrupt ? interrupt->value : 0;
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	if (raw_syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &pause, NULL, 0) == 0 ||
	    errno == ETIMEDOUT || errno == EAGAIN || errno == EINTR)
		return;
	/* A sandbox's filter: without any pause callers would spin. */
	if (ms > BLIND_PAUSE_MS)
		pause = (struct timespec){.tv_sec = BLIND_PAUSE_MS / 1000};
	nanosleep(&pause, NULL);
}

void interrupt_fds(const struct interrupt *interrupt, struct pollfd ret_fds[INTERRUPT_FDS],
		   int *timeout_ms)
{
	struct pollfd look = {.fd = interrupt ? interrupt->fd : -1, .events = POLLIN};

	ret_fds[0] = (struct pollfd){.fd = -1, .events = POLLIN};
	ret_fds[1] = ret_fds[0];
	if (!interrupt)
		return;
	ret_fds[1].fd = interrupt->other_fd;
	if (interrupt_is_set(interrupt))
		*timeout_ms = 0;
	else if (look.fd >= 0 && k8slb_raw_poll(&look, 1, 0) == 0)
		ret_fds[0] = look;
	else if (*timeout_ms > BLIND_WAIT_MS)
		*timeout_ms = BLIND_WAIT_MS;
}

bool interrupt_take_nudge(const struct interrupt *interrupt)
{
	struct signalfd_siginfo signal;

	/* Pairs with interrupt_nudge(). */
	if (!interrupt || observe_u32(interrupt->nudge) != NUDGE_SENT)
		return false;
	if (interrupt->fd >= 0)
		raw_syscall(SYS_read, interrupt->fd, &signal, sizeof(signal));
	/* After: the next one is not read with this one. */
	publish_u32(interrupt->nudge, NUDGE_NONE);
	return true;
}

void interrupt_nudge(uint32_t *nudge, pid_t tid)
{
	if (!claim_u32(nudge, NUDGE_NONE, NUDGE_BEGUN))
		return;
	publish_u32(nudge,
		    raw_syscall(SYS_tgkill, getpid(), tid, SIGURG) == 0 ? NUDGE_SENT : NUDGE_NONE);
}

void interrupt_wake(const uint32_t *word, pid_t tid)
{
	raw_syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	if (tid)
		raw_syscall(SYS_tgkill, getpid(), tid, SIGURG);
}
