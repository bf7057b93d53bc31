/* The table that the hooks read at this moment. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_VIEW_H
#define K8SLB_SHIM_VIEW_H

#include "state.h"

/*
 * The table that took the place of @view, which says "moved": attached here, because the engine of
 * a process that follows another one's sleeps. @view itself where that cannot be had. Async-signal-
 * safe; once a table and process.
 */
const struct table_view *view_follow_move(const struct table_view *view);

/* NULL: there is none. One load more than without shared tables. */
static inline const struct table_view *current_view(void)
{
	const struct table_view *view = observe_pointer(&shim.link.view); /* engine's publish */

	return view && table_has_moved(view) ? view_follow_move(view) : view;
}

#endif
