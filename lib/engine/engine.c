// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <linux/futex.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"
#include "base/undisturbed.h"
#include "engine/fork_state.h"
#include "engine/log_file.h"
#include "engine/role.h"
#include "engine/same_rights.h"
#include "engine/thread_setup.h"
#include "engine/watchdog.h"

#define LINGERING_PAUSE_MS 10

/* A forked child starts again with its own link; the parent's thread is not in it. */
static const struct config *engine_config;
static struct engine_link *engine_link;

static pthread_t engine_thread;
static uint32_t engine_tid;    /* 0: it has not begun yet, or has ended */
static uint32_t begun_tid;     /* the same, for as long as no other engine is started */
static uint32_t lingering_tid; /* of an engine that did not end when it was told to, or 0 */
static uint32_t engine_wanted; /* the number of the engine that is to run; its interrupt's word */
static uint32_t engine_nudged; /* enum nudge */

/* How long is waited before it is woken again: it may have had no number at the first time. */
#define WAKE_AGAIN_MS 10u

static __thread bool own_thread;
static __thread uint32_t own_number; /* of the engine whose thread this is */

static uint32_t number_of(uint32_t first_sync)
{
	return first_sync >> ENGINE_SYNC_BITS;
}

static uint32_t first_sync_of(uint32_t number, enum engine_sync state)
{
	return number << ENGINE_SYNC_BITS | state;
}

/* A thread that did not end in time is no engine any more. */
static bool is_current(void)
{
	return number_of(peek_u32(&engine_link->first_sync)) == own_number;
}

static void set_first_sync(enum engine_sync state)
{
	uint32_t before = peek_u32(&engine_link->first_sync);

	/* Pairs with observe_u32() of the waiting hooks. */
	if (number_of(before) == own_number && engine_sync_of(before) != state &&
	    claim_u32(&engine_link->first_sync, before, first_sync_of(own_number, state)))
		engine_wake(engine_link);
}

/* A view once published is never freed: a hook may hold it for as long as its thread is stopped. */
static void publish_view(const struct table_view *view)
{
	/* Pairs with observe_pointer() in the hooks. */
	if (is_current() && view != peek_pointer(&engine_link->view))
		publish_pointer(&engine_link->view, view);
}

static void show_table(const struct table_view *view)
{
	publish_view(view);
	set_first_sync(ENGINE_SYNC_DONE);
}

static void no_table_yet(void)
{
	set_first_sync(ENGINE_SYNC_FAILED);
}

static void say_prober(uint64_t prober)
{
	if (is_current())
		poke_u64(&engine_link->prober, prober);
}

static struct pick_memory *memory(void)
{
	return peek_pointer(&engine_link->memory);
}

void engine_attach_memory(struct engine_link *link)
{
	struct pick_memory *memory;

	poke_u64(&link->client, affinity_client());
	if (!peek_pointer(&link->memory) && pick_memory_attach(&memory) == 0)
		publish_pointer(&link->memory, memory); /* observed in process_pick_state() */
}

/*
 * libcurl and AWS-LC are for one thread at a time, and the next one begins by resetting them.
 * Whether this engine is still wanted then; else the next one may be at work.
 */
static bool await_lingering(void)
{
	while (lingering_tid && raw_syscall(SYS_tgkill, getpid(), lingering_tid, 0) == 0) {
		if (observe_u32(&engine_wanted) != own_number)
			return false;
		k8slb_raw_poll(NULL, 0, LINGERING_PAUSE_MS);
	}
	lingering_tid = 0;
	return observe_u32(&engine_wanted) == own_number;
}

static void work(void)
{
	static const struct role_sink sink = {
		.publish_view = show_table,
		.no_table_yet = no_table_yet,
		.say_prober = say_prober,
		.memory = memory,
	};
	struct logger logger = log_file_logger(engine_config);
	struct interrupt interrupt;
	int rc = guest_thread_own_fd_table();

	if (rc < 0) {
		log_error(&logger,
			  "no sync: neither close_range nor unshare is allowed here: %s; the "
			  "program could close or reuse our descriptors",
			  strerror(-rc));
	} else if (fork_state_forget() < 0) {
		log_error(&logger, "no sync: out of memory");
	} else {
		interrupt_open(&interrupt, &engine_wanted, own_number, &engine_nudged);
		role_run(engine_config, &logger, &interrupt, &sink);
	}
}

static void *engine_run(void *number)
{
	own_thread = true;
	own_number = (uint32_t)(uintptr_t)number;
	poke_u32(&begun_tid, (uint32_t)raw_syscall(SYS_gettid));
	poke_u32(&engine_tid, peek_u32(&begun_tid));
	guest_thread_name("k8slb");
	guest_thread_yield_priority();
	engine_attach_memory(engine_link);
	if (await_lingering())
		work();
	/* What the thread had stays: a hook may be reading the table. */
	say_prober(0);
	publish_view(NULL);
	set_first_sync(ENGINE_SYNC_FAILED);
	/* Another thread may have its number soon. */
	if (is_current())
		poke_u32(&engine_tid, 0);
	return NULL;
}

void engine_wake(struct engine_link *link)
{
	raw_syscall(SYS_futex, &link->first_sync, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void engine_begin(struct engine_link *link)
{
	uint32_t before;

	do {
		before = peek_u32(&link->first_sync);
	} while (!claim_u32(&link->first_sync, before,
			    first_sync_of(number_of(before) + 1, ENGINE_SYNC_PENDING)));
}

int engine_start(const struct config *config, struct engine_link *link)
{
	uintptr_t number = number_of(peek_u32(&link->first_sync));
	int rc;

	engine_config = config;
	engine_link = link;
	poke_u32(&engine_tid, 0);
	poke_u32(&begun_tid, 0);
	poke_u32(&engine_nudged, NUDGE_NONE);
	publish_u32(&engine_wanted, (uint32_t)number); /* observed by interrupt_is_set() */
	rc = guest_thread_start(engine_run, (void *)number, &engine_thread);
	if (rc == 0)
		guest_thread_await_begin(&begun_tid);
	return rc;
}

void engine_stop(void)
{
	uint64_t deadline_ms = clock_monotonic_ms() + ENGINE_LEAVE_MS;
	bool gone;

	/* Observed by interrupt_is_set(). */
	publish_u32(&engine_wanted, ~number_of(peek_u32(&engine_link->first_sync)));
	do {
		interrupt_wake(&engine_wanted, (pid_t)peek_u32(&engine_tid));
		gone = guest_thread_join(engine_thread, WAKE_AGAIN_MS);
	} while (!gone && clock_monotonic_ms() < deadline_ms);
	if (gone)
		guest_thread_await_removal((pid_t)peek_u32(&begun_tid), deadline_ms);
	else
		lingering_tid = peek_u32(&engine_tid);
	/* First: a thread that is not gone publishes nothing from here on. */
	engine_begin(engine_link);
	poke_u64(&engine_link->prober, 0);
	publish_pointer(&engine_link->view, NULL); /* observed by the hooks */
}

void engine_nudge(void)
{
	uint32_t tid = peek_u32(&engine_tid);
	struct undisturbed before;

	if (!tid || peek_u32(&engine_nudged) != NUDGE_NONE)
		return;
	undisturbed_begin(&before);
	interrupt_nudge(&engine_nudged, (pid_t)tid);
	undisturbed_end(&before);
}

bool engine_has_same_rights(void)
{
	uint32_t tid = peek_u32(&engine_tid);

	return tid && same_rights((pid_t)tid) && watchdog_has_same_rights();
}

bool engine_is_own_thread(void)
{
	return own_thread;
}
