/* When the writer of a table lists first: at once, unless the table that was left can serve. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_LIST_DELAY_H
#define K8SLB_ENGINE_LIST_DELAY_H

#include <stdbool.h>
#include <stdint.h>

/* What is known before the first list. */
struct list_delay {
	bool readable;	       /* there is a table, and it has not expired */
	bool shown;	       /* the hooks of this process have it: it followed the last writer */
	uint64_t lived_ms;     /* since this process first asked for a table */
	uint64_t table_age_ms; /* since the API server was heard of its oldest part */
	uint64_t unfinished;   /* struct table_header: lists_unfinished */
	uint64_t since_begun_ms; /* lists_begun_ms was so long ago */
};

/*
 * The milliseconds to wait, with @random to spread them. Any input may be garbage; never more than
 * 61 s.
 *
 * 0 where nothing serves, or only what is too old to be shown at once. Else up to a second, because
 * writers end together in many Pods, as after a bad rollout. More in a chain of programs that are
 * too short to finish a list: one that is younger than a second has nothing to ask for where the
 * table was heard of in the last second; and lists that nobody lived to finish are begun anew after
 * 2, 4 ... 60 s only, or by a process that has lived for as long as a list may take.
 */
uint32_t list_delay_ms(const struct list_delay *asks, uint32_t random);

#endif
