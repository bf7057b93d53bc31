/* The writer's side of a System V segment (table/segment.h): making it and having it to write. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PUBLISH_SHARED_REGION_H
#define K8SLB_PUBLISH_SHARED_REGION_H

#include "publish/region.h"

/*
 * Maps the table of @identity in segment @class to write too, and makes it where there is none; for
 * the holder of the writer's lock. What is there and cannot be used, but is the user's own, is
 * replaced: old readers keep what they have. The writable mapping is not inherited by forked
 * children. Returns 0; -EPERM: another user made it or may write to it; or another -errno.
 */
int region_own(uint64_t identity, unsigned class, struct region *ret_region);

/* Removes all segments of @identity: those who have them keep them, and nobody else can find them.
 */
void region_remove_all(uint64_t identity);

/* Somebody removed the segment of region_own(): those who have it keep it, and nobody else can find
 * it. */
bool region_is_removed(const struct region *region);

#endif
