/* What the roles of the engine's thread have in common: who they are for, and what was shown. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_ROLE_STATE_H
#define K8SLB_ENGINE_ROLE_STATE_H

#include "engine/mesh.h"
#include "engine/role.h"
#include "engine/writer_lock.h"

/* Nothing is due for so long only when the network is silent; then a round is free. */
#define ROLE_LONGEST_WAIT_MS (60 * 1000)

/*
 * What a table that was left is worth to a new process. As fresh as this it is shown at once. An
 * older one is shown when it is not listed anew within ROLE_LEFT_WAIT_MS, or is known not to be: a
 * program that runs once an hour must not connect to the pods of an hour ago. That is so much less
 * than a non-blocking connect() waits (CONFIG_NONBLOCKING_WAIT_MS) that it has the table.
 */
#define ROLE_FRESH_MS	  2000u
#define ROLE_LEFT_WAIT_MS 200

/* Why a role ended. */
enum role_end {
	ROLE_MESH,	  /* stay out */
	ROLE_NO_PIPELINE, /* nothing can be synced */
	ROLE_LOCK_LOST,	  /* somebody removed the lock's file: begin anew */
	ROLE_NOTHING_SHARED,
	ROLE_PROMOTED,	/* a follower has the lock now */
	ROLE_HANDED_ON, /* another process may do better: follow it */
	ROLE_LEFT,	/* the thread was told to end */
	ROLE_LOCKED_IN, /* by the program's own filter of system calls, or the like */
};

/* Of one thread, which alone uses it. */
struct role {
	const struct config *config;
	const struct logger *logger;
	const struct interrupt *interrupt; /* set: the thread is to end */
	const struct role_sink *sink;
	uint64_t identity;
	struct writer_lock lock;
	uint64_t started_ms;
	struct mesh_watch mesh;
	unsigned handed_on; /* times since it last heard the API server */
	bool shown;	    /* a table was published to the hooks */
};

/* A mesh's proxy is in the Pod, and the settings say to stay out then. Looks once a minute. */
bool role_stays_out(struct role *role);

/* To the hooks. @view stays for ever. */
void role_show(struct role *role, const struct table_view *view);

/* How long the process may still wait for a better table than the one that was left; 0: no more. */
uint32_t role_left_wait_ms(const struct role *role);

/* The longest that a reader of these settings believes what was not heard of; 0: for ever. */
uint64_t role_max_age_ms(const struct role *role);

/* What came of asking for the lock: @rc is writer_lock.h's. */
enum role_end role_end_of_lock(const struct role *role, int rc);

#endif
