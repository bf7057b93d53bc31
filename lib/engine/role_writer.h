/* The role of the one process that lists, watches and publishes. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_ROLE_WRITER_H
#define K8SLB_ENGINE_ROLE_WRITER_H

#include "engine/role_state.h"

/*
 * Writes the table and shows it to the hooks, for as long as it may. @shared: that of all
 * processes, whose lock the role holds; else one of this process's own. A shared table that was
 * left is shown until its lists are in. Never returns ROLE_PROMOTED or ROLE_NOTHING_SHARED; with
 * ROLE_HANDED_ON the lock was released.
 */
enum role_end role_write(struct role *role, bool shared);

#endif
