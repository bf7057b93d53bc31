/* What belongs to one process and must not pass to a forked child: engine, seed, first wait. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_PROCESS_H
#define K8SLB_SHIM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "pick/pick.h"

enum process_engine {
	PROCESS_UNSET, /* zero, as the kernel leaves it to a forked child */
	PROCESS_ENGINE_NONE,
	PROCESS_ENGINE_STARTING,
	PROCESS_ENGINE_STARTED,
	PROCESS_ENGINE_LEFT, /* for good: the first thread has ended */
};

struct process {
	uint32_t pid;	      /* 0: nobody has adopted the page in this process */
	uint32_t engine;      /* enum process_engine */
	uint64_t seed;	      /* of the picks; a forked child draws its own */
	uint64_t started_ms;  /* when the engine was started first; 0: not yet. The deadline of all
				 waits for the first table counts from here. */
	uint64_t retry_at_ms; /* after a failed start: not before this time */
};

/* Makes the page and adopts it. Once, before the first hook acts. */
void process_init(void);

/* That of the calling process; a forked child adopts it here. Async-signal-safe, keeps errno. */
struct process *process_current(void);

/* This process's engine was started; false in a forked child until it started its own. One load,
 * no system call. */
bool process_has_engine(void);

/* Attaches the hints (pick/hints.h) where no engine does: for a table of an agent. Async-signal-
 * safe, keeps errno. */
void process_attach_hints(void);

/* What pick_by_vip() needs; without hints those of this process alone. Async-signal-safe. */
struct pick_state process_pick_state(const struct process *process);

#endif
