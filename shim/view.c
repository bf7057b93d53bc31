// SPDX-License-Identifier: Apache-2.0
#include "view.h"

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "state.h"
#include "table/segment.h"

enum {
	SLOT_FREE,
	SLOT_TAKEN,
	SLOT_READY,
};

/* Views are never freed: another thread may be reading one. */
static struct {
	uint32_t phase;
	struct table_view view;
} slots[SEGMENT_CLASSES];

const struct table_view *view_follow_move(const struct table_view *view)
{
	KEEP_ERRNO();
	const struct table_view *newest = view;
	struct table_view found;
	unsigned class;

	/* A private table's successor is on its way from the engine. */
	if (view->identity && segment_attach_newest(view->identity, &found, &class) == 0) {
		if (class > 0 && claim_u32(&slots[class].phase, SLOT_FREE, SLOT_TAKEN)) {
			found.ages = view->ages;
			found.max_age_ms = view->max_age_ms;
			slots[class].view = found;
			publish_u32(&slots[class].phase, SLOT_READY); /* observed below */
		} else {
			segment_detach(&found);
		}
		if (observe_u32(&slots[class].phase) == SLOT_READY) {
			newest = &slots[class].view;
			/* Pairs with observe_pointer() in provider_view(). The engine may have
			 * published meanwhile what is just as new. */
			publish_pointer(&shim.link.view, newest);
		}
	}
	return newest;
}
