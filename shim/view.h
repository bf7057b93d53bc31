/* Follows a shared table that has become too small for its content. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_VIEW_H
#define K8SLB_SHIM_VIEW_H

#include "table/reader.h"

/*
 * The table that took the place of @view, which says "moved": attached here, because the engine of
 * a process that follows another one's sleeps. @view itself where that cannot be had. Async-signal-
 * safe, keeps errno; once a table and process.
 */
const struct table_view *view_follow_move(const struct table_view *view);

#endif
