// SPDX-License-Identifier: Apache-2.0
/* What the watchdog's thread does. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/raw_syscall.h"
#include "base/tcp_socket.h"
#include "engine/thread_setup.h"
#include "engine/watchdog.h"
#include "engine/watchdog_slots.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_USER_TIMEOUT
#define TCP_USER_TIMEOUT 18
#endif
#define SO_COOKIE_OPTION 57 /* asm-generic/socket.h */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define CLOSE_RANGE_UNSHARE_FLAG (1u << 1) /* linux/close_range.h, Linux 5.9 */

#define IDLE_ROUNDS	2
#define FIRE_AGAIN_US	100000u
#define FIRE_AGAIN_MOST 20u
#define ERRAND_MS	1000u

/* The socket of the try: connecting, to where the slot says, and plain TCP, whose connect() ends by
 * a shutdown. */
static bool is_connecting(int fd, const struct slot *slot)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	int protocol = 0;
	socklen_t four = sizeof(protocol);

	if (tcp_state_of(fd) != TCP_SYN_SENT ||
	    raw_syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &four) < 0 ||
	    protocol == IPPROTO_MPTCP)
		return false;
	/* Longer than the address it is refused (sock_getsockopt()). */
	size = slot->address.any.sa_family == AF_INET ? sizeof(slot->address.in)
						      : sizeof(slot->address.in6);
	return raw_syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERNAME_OPTION, &peer, &size) == 0 &&
	       slot_leads_to(slot, (struct sockaddr *)&peer);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	raw_syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE_OPTION, &cookie, &size);
	return cookie;
}

/* The kernel ends it at the first retransmission. */
static enum watchdog_end bound_by_kernel(int fd, struct slot *slot)
{
	uint32_t before = 0;
	uint32_t at_once = 1;
	socklen_t size = sizeof(before);

	if (raw_syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &before, &size) < 0 ||
	    raw_syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &at_once,
			sizeof(at_once)) < 0)
		return WATCHDOG_LEFT;
	poke_u32(&slot->user_timeout, before);
	return WATCHDOG_DENIED;
}

/*
 * A filter refuses shutdown(2), or it is Linux 6.4 to 6.5.8 or a stable one of that time, whose
 * disconnect() refuses while anybody waits (4faeee0cf8a5, 419ce133ab92): EBUSY, each time.
 * Otherwise the socket is as new afterwards, where the connection came about before (it is half shut
 * then) or had failed by itself (its next one would be). Here and not in the hook, which knows the
 * number alone, and another socket may have that by then. A connect() that has not returned yet says
 * ECONNABORTED or EPIPE.
 */
static enum watchdog_end shut_down(struct watchdog *dog, int fd, struct slot *slot)
{
	if (!dog->no_shutdown) {
		if (raw_syscall(SYS_shutdown, fd, SHUT_RD) == 0) {
			if (tcp_state_of(fd) != TCP_CLOSE)
				tcp_make_as_new(fd);
			return WATCHDOG_ABORTED;
		}
		if (errno == ENOTCONN) {
			tcp_make_as_new(fd);
			return WATCHDOG_CLOSED;
		}
		dog->no_shutdown = true;
	}
	return bound_by_kernel(fd, slot);
}

static enum watchdog_end end_at(struct watchdog *dog, struct slot *slot, int fd, bool leaving)
{
	/* Whose number it is when the owner comes is another question. */
	poke_u64(&slot->cookie, cookie_of(fd));
	if (!is_connecting(fd, slot))
		return WATCHDOG_LEFT;
	return leaving ? bound_by_kernel(fd, slot) : shut_down(dog, fd, slot);
}

struct errand {
	struct watchdog *dog;
	struct slot *slot;
	bool leaving;
	enum watchdog_end end;
};

static void *run_errand(void *argument)
{
	struct errand *errand = argument;
	int fd = (int)peek_u32(&errand->slot->fd);

	/* First what is above it, so that no more is copied. Where neither call is allowed the
	 * number is what it is. */
	if (raw_syscall(SYS_close_range, fd + 1, UINT_MAX, CLOSE_RANGE_UNSHARE_FLAG) == 0 && fd > 0)
		raw_syscall(SYS_close_range, 0, fd - 1, 0);
	errand->end = end_at(errand->dog, errand->slot, fd, errand->leaving);
	return NULL;
}

/*
 * In the program's table another thread may give the number to something else between the questions
 * and the shutdown: by shutdown(2) and dup2(2) one in a hundred does. So a thread that lives for
 * this alone has a copy of the table, with this number alone. Not a dup(2): closefrom() of the
 * program could give its number away before our close().
 */
static enum watchdog_end end_in_copy(struct watchdog *dog, struct slot *slot, bool leaving)
{
	struct errand errand = {.dog = dog, .slot = slot, .leaving = leaving, .end = WATCHDOG_LEFT};
	pthread_t thread;

	if (guest_thread_start(run_errand, &errand, &thread) < 0)
		return end_at(dog, slot, (int)peek_u32(&slot->fd), leaving);
	/* It waits for nothing but the socket's lock; what it writes to must not go before it. */
	while (!guest_thread_join(thread, ERRAND_MS))
		;
	return errand.end;
}

static enum watchdog_end end_try(struct watchdog *dog, struct slot *slot, bool leaving)
{
	enum watchdog_end end;
	int fd;

	if (dog->pidfd < 0)
		return end_in_copy(dog, slot, leaving);
	fd = (int)raw_syscall(SYS_pidfd_getfd, dog->pidfd, (int)peek_u32(&slot->fd), 0);
	if (fd < 0)
		return WATCHDOG_LEFT;
	end = end_at(dog, slot, fd, leaving);
	raw_syscall(SYS_close, fd);
	return end;
}

static void fire(struct watchdog *dog, struct slot *slot, uint32_t word, bool leaving)
{
	if (!slot_change(slot, word, SLOT_FIRING))
		return;
	poke_u32(&slot->end, end_try(dog, slot, leaving));
	slot_publish(slot, word, SLOT_FIRED);
	raw_syscall(SYS_futex, &slot->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/*
 * A try that was ended, and whose thread has not come for that: a handler with SA_RESTART ran in
 * that very moment, and the kernel began the call anew. Or its thread left the hook for good.
 * Returns whether it is looked at again.
 */
static bool fire_again(struct watchdog *dog, struct slot *slot, uint32_t word, uint64_t now_us)
{
	enum watchdog_end end;

	if (peek_u32(&slot->fires) >= FIRE_AGAIN_MOST)
		return false;
	if (now_us < peek_u64(&slot->due_us) + FIRE_AGAIN_US)
		return true;
	if (!slot_change(slot, word, SLOT_FIRING))
		return true;
	poke_u64(&slot->due_us, now_us);
	poke_u32(&slot->fires, peek_u32(&slot->fires) + 1);
	if (peek_u32(&slot->end) == WATCHDOG_ABORTED) {
		end = end_try(dog, slot, false);
		if (end != WATCHDOG_LEFT)
			poke_u32(&slot->end, end);
	}
	slot_publish(slot, word, SLOT_FIRED);
	raw_syscall(SYS_futex, &slot->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	return true;
}

/* Ends what is due. Returns whether any slot is in use; *@next_us: no later than the next is due.
 */
static bool look(struct watchdog *dog, uint64_t now_us, uint64_t *next_us)
{
	bool any = false;

	for (unsigned place = 0; place < SLOTS; place++) {
		struct slot *slot = &dog->slots[place];
		uint32_t word = slot_observe(slot);

		if (slot_state(word) == SLOT_FIRED) {
			any = fire_again(dog, slot, word, now_us) || any;
		} else if (slot_state(word) == SLOT_ARMED) {
			uint64_t due_us = peek_u64(&slot->due_us);

			any = true;
			if (due_us <= now_us)
				fire(dog, slot, word, false);
			else if (due_us < *next_us)
				*next_us = due_us;
		}
	}
	return any;
}

static bool any_armed(struct watchdog *dog)
{
	for (unsigned place = 0; place < SLOTS; place++) {
		if (slot_state(slot_observe(&dog->slots[place])) == SLOT_ARMED)
			return true;
	}
	return false;
}

void watchdog_pause(struct watchdog *dog, enum watchdog_state state, uint32_t ms)
{
	const struct interrupt interrupt = {
		.word = &dog->state, .value = state, .fd = -1, .other_fd = -1};

	interrupt_pause(&interrupt, ms);
}

/* Until somebody arms, or the end. */
static void sleep_now(struct watchdog *dog)
{
	if (!claim_u32(&dog->state, WATCHDOG_AWAKE, WATCHDOG_ASLEEP))
		return;
	fence_before_look(); /* pairs with that of watchdog_arm() */
	if (any_armed(dog))
		claim_u32(&dog->state, WATCHDOG_ASLEEP, WATCHDOG_AWAKE);
	while (observe_u32(&dog->state) == WATCHDOG_ASLEEP)
		watchdog_pause(dog, WATCHDOG_ASLEEP, UINT32_MAX);
}

static void watch(struct watchdog *dog)
{
	unsigned idle = 0;

	while (observe_u32(&dog->state) == WATCHDOG_AWAKE) {
		uint64_t now_us = clock_monotonic_us();
		uint64_t next_us = now_us + dog->least_ms * UINT64_C(1000);
		uint32_t armed = peek_u32(&dog->armed);

		poke_u32(&dog->armed, 0);
		idle = look(dog, now_us, &next_us) || armed ? 0 : idle + 1;
		if (idle >= IDLE_ROUNDS) {
			sleep_now(dog);
			idle = 0;
			continue;
		}
		now_us = clock_monotonic_us();
		if (next_us > now_us)
			watchdog_pause(dog, WATCHDOG_AWAKE,
				       (uint32_t)((next_us - now_us) / 1000 + 1));
	}
}

/* Nobody is left to end these: the kernel is to do it. */
static void hand_over(struct watchdog *dog)
{
	for (unsigned place = 0; place < SLOTS; place++) {
		struct slot *slot = &dog->slots[place];
		uint32_t word = slot_observe(slot);

		if (slot_state(word) == SLOT_ARMED)
			fire(dog, slot, word, true);
	}
}

static bool take_own_table(struct watchdog *dog)
{
	if (guest_thread_own_fd_table() < 0)
		return false;
	dog->pidfd = (int)raw_syscall(SYS_pidfd_open, getpid(), 0);
	return dog->pidfd >= 0;
}

void *watchdog_run(void *argument)
{
	struct watchdog *dog = argument;

	guest_thread_begin(&dog->begun_tid);
	poke_u32(&dog->tid, peek_u32(&dog->begun_tid));
	guest_thread_yield_priority();
	guest_thread_name("k8slb-watchdog");
	if (!dog->own_table || take_own_table(dog)) {
		if (claim_u32(&dog->state, WATCHDOG_STARTING, WATCHDOG_AWAKE))
			watch(dog);
		hand_over(dog);
	} else {
		dog->own_table_refused = true;
	}
	poke_u32(&dog->tid, 0);
	publish_u32(&dog->state, WATCHDOG_ENDED); /* observed by who joins it */
	return NULL;
}
