/* The agent's side of table/handover.h: a table that can be handed over, and handing it over. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PUBLISH_HANDOVER_REGION_H
#define K8SLB_PUBLISH_HANDOVER_REGION_H

#include "publish/region.h"

/*
 * An empty table as region_new()'s, in a memfd that is sealed against any change of its size and,
 * since Linux 5.1, against writing by all but the mapping in @ret_region. @ret_fd: open for reading
 * only, close-on-exec. Needs /proc. Returns 0 or -errno.
 */
int handover_region_new(size_t arena_size, struct region *ret_region, int *ret_fd);

/* Sends the table to a client that has connected. Never waits. Returns 0 or -errno. */
int handover_send(int client, int table_fd);

#endif
