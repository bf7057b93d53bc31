/* What writing and restoring a journal share. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_JOURNAL_STATE_H
#define K8SLB_SYNC_JOURNAL_STATE_H

#include "sync/journal.h"

struct journal {
	struct journal_options options;
	struct logger logger;
	struct journal_collection *collections; /* in the order in which they joined */
	uint64_t random;
	uint64_t salt;
	uint64_t heard_s;
	struct buffer payload; /* of the record that is being made */
	struct buffer pending; /* records to be appended */
	size_t file_bytes;     /* appended to the journal begun last */
	size_t snapshot_bytes; /* of its collections' last lists */
	uint32_t numbers;      /* collections that it names */
	bool begun;	       /* a journal of this process is in place */
	bool changed;	       /* it is not, and there is something to say */
	int error;	       /* the first one; given up at the next flush */
	bool given_up;
};

#endif
