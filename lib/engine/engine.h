/* The one door between the shim and the engine: start the background sync of a table. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_ENGINE_H
#define K8SLB_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "pick/hints.h"
#include "table/reader.h"

/* First-sync states of engine_link.first_sync, a futex word. */
enum {
	ENGINE_SYNC_PENDING = 0,
	ENGINE_SYNC_DONE = 1,	/* a table was published */
	ENGINE_SYNC_FAILED = 2, /* the first attempt ended without one; it goes on in background */
};

/*
 * What the engine's thread and the hooks share. The engine writes, hooks observe
 * (base/atomic.h: publish_* / observe_*).
 */
struct engine_link {
	const struct table_view *view; /* newest table or NULL; what it points to is never freed */
	struct hints *hints;	       /* set before the first table; NULL: could not be had */
	uint64_t client;	       /* affinity_client(), set with @hints */
	uint32_t first_sync;	       /* woken by FUTEX_WAKE when it leaves PENDING */
};

/*
 * A table of functions and nothing else, so that an engine in an object of its own, opened by
 * dlopen(), stays possible.
 */
struct engine_ops {
	/*
	 * Starts the thread: detached, all signals blocked, own stack, own file descriptor table.
	 * Both pointers are kept for the life of the process. Called at most once a process (a
	 * forked child counts as a new one and never touches what the parent's thread owned).
	 * Returns 0 or -errno (EAGAIN: RLIMIT_NPROC); nothing was started then.
	 */
	int (*start)(const struct config *config, struct engine_link *link);

	/*
	 * Ends this process's thread, waiting at most @longest_wait_ms for it, and takes the table
	 * back. Only after start(), which may follow again; what the thread had is left to itself.
	 */
	void (*stop)(uint32_t longest_wait_ms);

	/* The thread's capabilities are the calling thread's (capget(2)); false when not known. */
	bool (*shares_capabilities)(void);

	/* The calling thread is the engine's own. Async-signal-safe. */
	bool (*is_own_thread)(void);

	/* A mesh's proxy is in this Pod and @config says to stay out then: nothing is to be
	 * balanced, which the log says. Async-signal-safe; for a process without the thread. */
	bool (*stays_out)(const struct config *config);

	/* Before the first line: remembers what standard error is. Keeps errno. */
	void (*log_init)(const struct config *config);

	/* Writes one line to the log that the config names; for messages of the constructor.
	 * No malloc, no stdio. */
	void (*log_message)(const struct config *config, enum log_level level, const char *line);
};

extern const struct engine_ops k8slb_engine;

#endif
