/* The role of all other processes: they show the table that one writes, and wait for the lock. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_ROLE_FOLLOWER_H
#define K8SLB_ENGINE_ROLE_FOLLOWER_H

#include "engine/role_state.h"

/*
 * Waits until there is a table, shows it, and sleeps until the lock is this process's. Returns
 * ROLE_PROMOTED then; ROLE_LOCK_LOST; ROLE_NOTHING_SHARED: the lock cannot be waited for, its
 * holder stands still and has nothing to show, or shares no table.
 */
enum role_end role_follow(struct role *role);

#endif
