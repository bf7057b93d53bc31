/* The thread that keeps a table in sync, and what it shares with the hooks. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_ENGINE_H
#define K8SLB_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "pick/memory.h"
#include "table/reader.h"

/* How far the first sync of an engine is: the low bits of engine_link.first_sync. */
enum engine_sync {
	ENGINE_SYNC_PENDING,
	ENGINE_SYNC_DONE,   /* a table was published */
	ENGINE_SYNC_FAILED, /* the first attempt ended without one; it goes on in background */
};
#define ENGINE_SYNC_BITS 2

/*
 * What the engine and the hooks share; all zero at first. Hooks observe, others publish
 * (base/atomic.h):
 *   the engine's thread, all of it;
 *   a hook where no thread does: the table of an agent and the pick memory for it (shim/agent.c),
 * the table that took the place of a smaller one (shim/view.c).
 */
struct engine_link {
	const struct table_view *view; /* newest table or NULL; what it points to is never freed */
	struct pick_memory *memory;    /* set before the first table; NULL: could not be had */
	uint64_t client;	       /* affinity_client(), set with @memory */
	uint64_t prober; /* who probes the endpoints of @view (pick/probed.h); 0: nobody does */
	/*
	 * enum engine_sync, and above it which engine that is of: a word of a thread that is at its
	 * end is not taken for the next one's. A futex word, woken by what the thread says in it.
	 * Only functions of this header write it.
	 */
	uint32_t first_sync;
};

static inline enum engine_sync engine_sync_of(uint32_t first_sync)
{
	return (enum engine_sync)(first_sync & ((1u << ENGINE_SYNC_BITS) - 1));
}

/*
 * What was said of the first sync is not about the engine that starts next: pending. For a process
 * that begins, a forked one too, in which its parent's thread is not. Async-signal-safe.
 */
void engine_begin(struct engine_link *link);

/* Wakes those who wait for the first sync, to look again: nothing may be there to wait for. */
void engine_wake(struct engine_link *link);

/*
 * Starts the thread: all signals blocked, own stack, own file descriptor table. Both
 * pointers are kept for the life of the process. Once after engine_begin() and each engine_stop();
 * it never touches what the thread of a parent owned.
 * Returns 0 or -errno (EAGAIN: RLIMIT_NPROC; ENOMEM also where little memory may be locked, and all
 * that is mapped is: thread_setup.h); nothing was started then.
 */
int engine_start(const struct config *config, struct engine_link *link);

/* The thread leaves within this time, whatever it waits for: usually in less than 1 ms. The rest is
 * for a machine that gives it no processor, and for what it is just reading. */
#define ENGINE_LEAVE_MS 2000u

/*
 * Tells this process's thread to end, waits for that at most ENGINE_LEAVE_MS, takes the table back,
 * and makes the first sync pending. It ends by itself and nothing is loaded or unwound for that.
 * Only after engine_start(), which may follow again.
 */
void engine_stop(void);

/* The thread of this very process is to look whether the writer of its table lives (role.h): a hook
 * has seen no beat for TABLE_GONE_MS. Async-signal-safe; changes errno. */
void engine_nudge(void);

/* The thread, and the watchdog's, would answer a change of ids as the calling one does
 * (same_rights.h); false when not known. Changes errno. */
bool engine_has_same_rights(void);

/* The calling thread is the engine's own. Async-signal-safe. */
bool engine_is_own_thread(void);

/*
 * Attaches the pick memory, unless it is: by the engine's thread, where there is one, and not by
 * the hook that needs it first: a program may have put its threads behind a filter of system calls
 * by then, and a thread may be cancelled there. A forked child has its parent's. Async-signal-safe,
 * keeps errno.
 */
void engine_attach_memory(struct engine_link *link);

#endif
