/* The URLs of a reflector's requests. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_REFLECTOR_PATH_H
#define K8SLB_SYNC_REFLECTOR_PATH_H

#include "sync/reflector.h"

/* Appends path and query of the next list request, or of the next page. Returns 0 or -errno. */
int reflector_list_path(const struct reflector *r, struct buffer *path);

/* Appends path and query of a watch from the last version, of @watch_s seconds. Returns 0 or
 * -errno. */
int reflector_watch_path(const struct reflector *r, uint32_t watch_s, struct buffer *path);

#endif
