/* What a writer says of its table in the header: that it lives, and when each part was heard of. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PUBLISH_SAID_H
#define K8SLB_PUBLISH_SAID_H

#include "table/layout.h"

/* All zero: nothing yet. */
struct said {
	enum table_state state;
	uint64_t beat_ms;		      /* as in the header */
	uint64_t parts_heard_ms[TABLE_PARTS]; /* as in the header */
};

/* Goes on with what the header says of the parts. NULL: with nothing. */
void said_take(struct said *said, const struct table_header *header);

/* table_writer_set_heard(). */
void said_set_heard(struct said *said, unsigned part, uint64_t heard_ms);

/* Of the oldest part; 0: there is none. */
uint64_t said_heard_ms(const struct said *said);

/* Writes all of it, and that the writer lives. */
void said_beat(const struct said *said, struct table_header *header);

#endif
