/* What all hooks share: whether the shim acts at all, its settings, and the table. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_STATE_H
#define K8SLB_SHIM_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "config/config.h"
#include "engine/engine.h"

enum shim_phase {
	SHIM_NEW,     /* the constructor has not run yet */
	SHIM_RUNNING, /* the settings are being read: hooks pass everything to libc */
	SHIM_INERT,   /* for good: no K8SLB_SERVICES, or a program to stay out of */
	SHIM_ACTIVE,
};

/* @config is written before @phase becomes SHIM_ACTIVE, and never again. */
struct shim {
	uint32_t phase; /* enum shim_phase */
	struct config config;
	struct engine_link link;
};

extern struct shim shim;

/* Reads the settings unless somebody did or does. Returns true when the shim is active. */
bool shim_start(void);

/*
 * The first test of each hook: one load and a branch when inert.
 * A hook may run before the constructor, called by the constructor of another library, or without
 * it (musl runs none for a dynamic program that Go's own linker made): then it does its work.
 */
static inline bool shim_active(void)
{
	uint32_t phase = observe_u32(&shim.phase); /* pairs with the publish in shim_start() */

	return phase == SHIM_ACTIVE || (phase == SHIM_NEW && shim_start());
}

#endif
