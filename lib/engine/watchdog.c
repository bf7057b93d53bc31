// SPDX-License-Identifier: Apache-2.0
#include "engine/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "engine/engine.h"
#include "engine/same_rights.h"
#include "engine/thread_setup.h"
#include "engine/watchdog_slots.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define RETRY_MS      5000u /* after a thread that could not be had */
#define LOOK_AGAIN_MS 1000u /* whether the program has threads by now */
#define JOIN_MS	      10u

static struct watchdog *own; /* NULL: not needed so far */
static uint32_t no_page;     /* the kernel cannot empty it in a child */

static struct watchdog *watchdog(void)
{
	return observe_pointer(&own); /* claimed in make_page() */
}

/* ---- its beginning and its end, in hooks ---- */

/* A filter of system calls is all that refuses them to a process's own thread. No descriptor is
 * made: the program could notice it. */
static bool may_take_descriptors(void)
{
	return guest_thread_may_own_fd_table() && raw_syscall(SYS_pidfd_open, 0, 0) < 0 &&
	       errno == EINVAL && raw_syscall(SYS_pidfd_getfd, -1, -1, 0) < 0 && errno == EBADF;
}

/* Ours is one: the engine's. The links of this folder count the threads (proc_task_getattr()). */
static bool program_has_threads(void)
{
	struct stat task;

	return raw_syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &task, 0) == 0 &&
	       task.st_nlink > 2 + 1 + 1;
}

/* It could neither sleep nor be woken. */
static bool futex_is_refused(struct watchdog *dog)
{
	return raw_syscall(SYS_futex, &dog->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) < 0;
}

/* Without that the thread would leave every try alone, and nobody would bound it. */
static bool peers_are_told(int fd)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);

	return raw_syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERNAME_OPTION, &peer, &size) == 0 ||
	       errno == ENOTCONN;
}

static bool begin(struct watchdog *dog, int fd, uint32_t least_ms)
{
	uint64_t now_ms = clock_coarse_ms();

	dog->least_ms = least_ms;
	dog->pidfd = -1;
	poke_u32(&dog->begun_tid, 0);
	dog->own_table = !dog->own_table_refused && may_take_descriptors();
	poke_u64(&dog->retry_ms, now_ms + (dog->own_table ? RETRY_MS : LOOK_AGAIN_MS));
	if (futex_is_refused(dog) || !peers_are_told(fd) ||
	    (!dog->own_table && guest_thread_may_own_fd_table() && !program_has_threads()))
		return false;
	if (guest_thread_start(watchdog_run, dog, &dog->thread) < 0)
		return false;
	guest_thread_await_begin(&dog->begun_tid);
	return true;
}

/* One that has ended by itself, or was told to. False: it is not gone yet. */
static bool join(struct watchdog *dog, uint32_t longest_ms)
{
	if (!claim_u32(&dog->state, WATCHDOG_ENDED, WATCHDOG_JOINING))
		return false;
	if (guest_thread_join(dog->thread, longest_ms)) {
		publish_u32(&dog->state, WATCHDOG_NONE); /* observed by who starts the next */
		return true;
	}
	publish_u32(&dog->state, WATCHDOG_ENDED);
	return false;
}

static struct watchdog *make_page(void)
{
	struct watchdog *dog = mmap(NULL, sizeof(*dog), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (dog == MAP_FAILED)
		return NULL;
	if (madvise(dog, sizeof(*dog), MADV_WIPEONFORK) < 0)
		poke_u32(&no_page, 1);
	if (peek_u32(&no_page) || !claim_pointer(&own, NULL, dog))
		munmap(dog, sizeof(*dog));
	return watchdog();
}

bool watchdog_is_there(void)
{
	struct watchdog *dog = watchdog();
	uint32_t state = dog ? observe_u32(&dog->state) : WATCHDOG_NONE;

	return state == WATCHDOG_AWAKE || state == WATCHDOG_ASLEEP || state == WATCHDOG_STARTING;
}

bool watchdog_may_start(void)
{
	struct watchdog *dog = watchdog();

	return dog ? clock_coarse_ms() >= peek_u64(&dog->retry_ms) : !peek_u32(&no_page);
}

bool watchdog_start(int fd, const uint32_t *phase, uint32_t running, uint32_t least_ms)
{
	KEEP_ERRNO();
	struct watchdog *dog = watchdog();

	if (!dog)
		dog = make_page();
	if (!dog)
		return false;
	join(dog, JOIN_MS);
	if (!claim_u32(&dog->state, WATCHDOG_NONE, WATCHDOG_STARTING))
		return watchdog_is_there();
	fence_before_look(); /* pairs with that of watchdog_stop() */
	if (observe_u32(phase) == running && begin(dog, fd, least_ms))
		return true;
	publish_u32(&dog->state, WATCHDOG_NONE);
	return false;
}

void watchdog_stop(void)
{
	KEEP_ERRNO();
	struct watchdog *dog = watchdog();
	uint64_t deadline_ms = clock_monotonic_ms() + ENGINE_LEAVE_MS;

	fence_before_look(); /* pairs with that of watchdog_start() */
	while (dog && observe_u32(&dog->state) != WATCHDOG_NONE &&
	       clock_monotonic_ms() < deadline_ms) {
		uint32_t state = observe_u32(&dog->state);

		if (state == WATCHDOG_AWAKE || state == WATCHDOG_ASLEEP) {
			if (claim_u32(&dog->state, state, WATCHDOG_ENDING))
				raw_syscall(SYS_futex, &dog->state, FUTEX_WAKE_PRIVATE, INT_MAX,
					    NULL, NULL, 0);
		} else if (!join(dog, JOIN_MS)) {
			watchdog_pause(dog, state, 1);
		}
	}
	if (!dog)
		return;
	guest_thread_await_removal((pid_t)peek_u32(&dog->begun_tid), deadline_ms);
	/* The next engine's calls need not wait for one of their own. */
	poke_u64(&dog->retry_ms, 0);
}

bool watchdog_has_same_rights(void)
{
	struct watchdog *dog = watchdog();
	uint32_t tid;

	if (!dog || observe_u32(&dog->state) == WATCHDOG_NONE)
		return true;
	/* Just started: a moment, or it would be ended and started again. */
	for (unsigned i = 0; i < JOIN_MS && !peek_u32(&dog->tid); i++)
		watchdog_pause(dog, WATCHDOG_STARTING, 1);
	tid = peek_u32(&dog->tid);
	return tid && same_rights((pid_t)tid);
}

/* ---- the slots, in hooks ---- */

static void wake(struct watchdog *dog)
{
	KEEP_ERRNO();

	if (claim_u32(&dog->state, WATCHDOG_ASLEEP, WATCHDOG_AWAKE))
		raw_syscall(SYS_futex, &dog->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

bool watchdog_arm(struct watchdog_try *ret_try, int fd, const struct sockaddr *address,
		  socklen_t length, uint64_t due_us)
{
	struct watchdog *dog = watchdog();
	struct slot *slot;

	if (!watchdog_is_there())
		return false;
	slot = slot_take(dog, fd, &ret_try->word);
	if (!slot)
		return false;
	ret_try->place = (uint32_t)(slot - dog->slots);
	slot_fill(slot, fd, address, length, due_us);
	if (!peek_u32(&dog->armed))
		poke_u32(&dog->armed, 1);
	slot_publish(slot, ret_try->word, SLOT_ARMED);
	fence_before_look(); /* pairs with that of sleep_now() */
	if (peek_u32(&dog->state) == WATCHDOG_ASLEEP)
		wake(dog);
	return true;
}

enum watchdog_end watchdog_disarm(const struct watchdog_try *try, struct watchdog_note *ret_note)
{
	struct slot *slot = &watchdog()->slots[try->place];

	if (slot_change(slot, try->word, SLOT_FREE))
		return WATCHDOG_QUIET;
	return slot_disarm_fired(slot, try->word, ret_note);
}
