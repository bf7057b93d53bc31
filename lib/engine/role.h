/* The work of the engine's thread: to write the table, or to follow the process that does. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_ROLE_H
#define K8SLB_ENGINE_ROLE_H

#include "base/interrupt.h"
#include "base/log.h"
#include "config/config.h"
#include "table/reader.h"

#define UNHOOKED_LOOK_MS 1000

/* What the hooks see of it; all of them are called by the engine's thread. */
struct role_sink {
	/* A table to pick from; NULL takes it back. What it points to stays for ever. */
	void (*publish_view)(const struct table_view *view);
	/* There is none so far, and it may take long. */
	void (*no_table_yet)(void);
	/* Who probes the endpoints of the table that is shown next (prober.h); 0: nobody. */
	void (*say_prober)(uint64_t prober);
	/* No hook tells the thread of a table that moved, or of a writer without a beat: it looks by
	 * itself, every UNHOOKED_LOOK_MS. */
	bool (*is_unhooked)(void);
	/* The same often: sets @interrupt of role_run() where the thread is not to stay. */
	void (*compare_rights)(void);
	struct pick_memory *(*memory)(void); /* NULL: this process has none that others see */
};

/*
 * Runs until @interrupt is set, or there is nothing more to do: a mesh's proxy was found in the
 * Pod, or no pipeline could be made; the log says which. Else to the end of the process. The
 * calling thread has its own descriptor table.
 *
 * One process of the user writes the table of these settings (writer_lock.h), all others read it
 * and wait for the lock, each asleep in one system call. When the writer ends, one of them has the
 * lock at once: the table goes on to serve as it was left, until all is listed anew. When it stands
 * still, and a hook of a follower says so (engine_nudge()), that one takes the lock's file away,
 * and with it the table: then all begin anew, the old writer too when it wakes. Where nothing can
 * be shared (no /dev/shm, another owner's files) the table is this process's own.
 */
void role_run(const struct config *config, const struct logger *logger,
	      const struct interrupt *interrupt, const struct role_sink *sink);

#endif
