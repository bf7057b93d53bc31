/* What belongs to one process and must not pass to a forked child: its engine and its seed. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_PROCESS_H
#define K8SLB_SHIM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "engine_state.h"
#include "pick/pick.h"

struct process {
	uint32_t pid;  /* 0: nobody has adopted the page in this process */
	uint64_t seed; /* of the picks; a forked child draws its own */
	struct engine_state engine;
};

/* Makes the page and adopts it. Once, before the first hook acts. */
void process_init(void);

/* That of the calling process; a forked child adopts it here. Async-signal-safe, keeps errno. */
struct process *process_current(void);

/* Who has adopted the page, if anybody in this process; a child of vfork(2) finds its parent. */
uint32_t process_adopter(void);

/* This process's engine was started; false in a forked child until it started its own. One load,
 * no system call. */
bool process_has_engine(void);

/* What pick_by_vip() needs; without it those of this process alone. Async-signal-safe. */
void process_pick_state(const struct process *process, struct pick_state *ret_state);

#endif
