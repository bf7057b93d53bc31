/* Passive health: an endpoint that could not be connected to is avoided for a while by all. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_HEALTH_H
#define K8SLB_PICK_HEALTH_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "table/layout.h"

/*
 * One endpoint's life:
 *
 *	good --failures--> ejected --its time is over--> half-open --one caller--> probed
 *	  ^                   ^                                                      |  |
 *	  |                   +---- failure: a longer time; no outcome: half-open ---+  |
 *	  +------------------------------ success ---------------------------------------+
 *
 * One that did not answer in less than a second is suspected first: avoided for one second, and
 * probed meanwhile where a thread of ours does that (engine/prober.h); then good, but the next such
 * is a failure.
 *
 * All callers but the one that probes go on avoiding the endpoint until the probe's outcome. Where
 * a thread of ours probes, no other caller does; it tries those alone that were wanted: a caller
 * was about to use them since the last probe.
 *
 * Parameters, and where they come from:
 *   failures	1. Envoy ejects after 5 in a row (consecutive_5xx, consecutive_local_origin_failure),
 *		Finagle's failure accrual after 5. Those are requests that cost little and may fail
 *		for the request's own reasons. A connect() fails for the endpoint's alone, costs its
 *		caller up to a second, and every process behind it pays again.
 *   base_ms	5 s, max_ms 300 s: Finagle's markDeadFor, Backoff.equalJittered(5.seconds,
 *		300.seconds). Envoy: base_ejection_time 30 s, max_ejection_time 300 s. The n-th
 *		ejection in a row lasts half + random(half), half = 5 s * 2^(n - 1) but at most
 *		150 s: many clients do not come back to one endpoint at one instant.
 *   probe_ms	1 s: as long as one attempt to connect is given. A probe without an outcome (its
 *		process was killed) ends then.
 *   half	More than half of the endpoints of a Service port are never avoided: where more are
 *		ejected, all are used (Envoy's healthy_panic_threshold, 50 %). Envoy's own
 *		max_ejection_percent is 10 % but at least one host; of the 2 or 3 pods that most
 *		Services have that is the same, and a lost node takes more than a tenth with it.
 *		pick.h observes this, which sees the port.
 *
 * Pure: time and random numbers are parameters. Lock-free, async-signal-safe, bounded, and safe
 * with any content: slots are shared by processes of which one may write anything. The worst that
 * garbage does is an ejection of HEALTH_LONGEST_MS or its loss. Two endpoints that fail at one
 * instant and share a set may lose one record; then the next failure records it again.
 */
struct health_rules {
	uint32_t failures; /* in a row, at least 1, up to 255 */
	uint32_t base_ms;
	uint32_t max_ms; /* at most HEALTH_LONGEST_MS counts */
	uint32_t probe_ms;
};

#define HEALTH_DEFAULTS                                                            \
	(struct health_rules)                                                      \
	{                                                                          \
		.failures = 1, .base_ms = 5000, .max_ms = 300000, .probe_ms = 1000 \
	}

/* No ejection lasts longer; a time that is further away is garbage, and says nothing. */
#define HEALTH_LONGEST_MS 300000u
/* So long after its end a record still counts: twice the longest, so that only an endpoint that
 * nobody asks for any more, or that is gone, is forgotten without a success. */
#define HEALTH_KEEP_MS 600000u

/* As long as the kernel itself gives an endpoint before it asks again. */
#define HEALTH_SUSPECT_MS 1000u

#define HEALTH_SLOTS 1024u /* a power of two */
#define HEALTH_WAYS  4u	   /* of one set: a cache line */

struct health_slot {
	uint64_t key;  /* 0: free */
	uint64_t word; /* 0: nothing; else health.c's, changed only as a whole */
};

struct health {
	uint64_t busy_until_ms; /* 0: nothing is recorded; else nothing is after this time */
	uint64_t reserved[7];
	struct health_slot slots[HEALTH_SLOTS];
	/* Of each slot, when the first failure of its row was; nothing depends on it. Not in the
	 * slot, of which four are a cache line. */
	uint64_t since_ms[HEALTH_SLOTS];
};

enum health_state {
	HEALTH_GOOD,
	HEALTH_EJECTED, /* to be avoided; being probed counts as that */
	HEALTH_HALF_OPEN,
};

/* Nothing is recorded, so every endpoint is good. One relaxed load. */
static inline bool health_is_quiet(const struct health *health)
{
	return peek_u64(&health->busy_until_ms) == 0;
}

/*
 * The key of an endpoint, by address, port and the pod's uid: a new pod on an old address starts
 * clean, and an unknown uid (0) is its own. The protocol is TCP. Never 0.
 */
uint64_t health_key(const struct table_endpoint *endpoint);

/* Also notices when all records are over, so that the next calls are quiet. */
enum health_state health_look(struct health *health, uint64_t key, uint64_t now_ms);

/* The caller is the one to probe an endpoint that is half-open, or a suspect; it then reports the
 * outcome. Of all callers in all processes one gets true, until @rules->probe_ms from now. After 255
 * whose outcome nobody saw (closed before the next call that looks) the endpoint is good. */
bool health_claim_probe(struct health *health, const struct health_rules *rules, uint64_t key,
			uint64_t now_ms);

/* A caller would have used the endpoint, were it not avoided: it is to be probed when its time is
 * over. */
void health_want(struct health *health, uint64_t key, uint64_t now_ms);

/* Some endpoint is wanted and may be probed now. Goes through all records unless it is quiet. */
bool health_any_to_probe(const struct health *health, uint64_t now_ms);

/* That one is. */
bool health_is_to_probe(struct health *health, uint64_t key, uint64_t now_ms);

/* That errno of a connect() is the endpoint's doing: refused, unreachable, timed out. */
static inline bool health_is_fault(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ETIMEDOUT;
}

/*
 * A connect() failed, by its own fault. Returns true when that ejected the endpoint.
 * Failures of connections that began before the ejection do not lengthen it.
 */
bool health_failure(struct health *health, const struct health_rules *rules, uint64_t key,
		    uint64_t now_ms, uint64_t random);

/*
 * A connect() was ended before a slow endpoint need have answered: it is avoided for
 * HEALTH_SUSPECT_MS, without a probe. Again within HEALTH_KEEP_MS, with no success in between, it
 * is a failure; but not while it is avoided, of connections that began before. Returns true when
 * that ejected the endpoint.
 */
bool health_suspect(struct health *health, const struct health_rules *rules, uint64_t key,
		    uint64_t now_ms, uint64_t random);

/* A connect() succeeded: nothing is held against the endpoint any more. */
void health_success(struct health *health, uint64_t key);

/* ---- for people ---- */

enum health_told_state {
	HEALTH_TOLD_GOOD,
	HEALTH_TOLD_SUSPECTED, /* it did not answer in time, once */
	HEALTH_TOLD_AVOIDED,
	HEALTH_TOLD_TO_PROBE, /* its time is over: the next that wants it tries it */
	HEALTH_TOLD_PROBED,   /* somebody does, now */
};

struct health_told {
	enum health_told_state state;
	uint64_t since_ms; /* the first failure of the row, of CLOCK_MONOTONIC_COARSE; 0: not known */
	uint64_t until_ms; /* by the same clock; 0: nothing is recorded */
	unsigned in_a_row; /* ejections, or failures before the first one */
};

/* What is recorded of an endpoint. Changes nothing, so a mapping to read is enough. */
struct health_told health_tell(const struct health *health, uint64_t key, uint64_t now_ms);

/* "good", "suspected", "avoided", "to probe", "probed". */
const char *health_word(enum health_told_state state);

#endif
