/* The table of an agent (K8SLB_TABLE): found, kept as long as it is written, and found again. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_AGENT_H
#define K8SLB_SHIM_AGENT_H

#include <stdbool.h>

#include "table/reader.h"

/* A call is held up this long at most by an agent that does not answer. */
#define AGENT_LIMIT_MS 100u

/* Without an agent, or with one whose heart has stopped: one try in this time, by one call. */
#define AGENT_RETRY_MS 1000u

/*
 * There is something to do before @view, the one in use, is used further: the agent does not beat,
 * or a larger table took its place; and it is time for a try. No system call (the clock is read in
 * the vDSO).
 */
bool agent_is_due(const struct table_view *view);

/*
 * Does what is due and returns the table to use, or NULL. One thread of the process does it at a
 * time; the others go on with what there is, or wait for it, at most AGENT_LIMIT_MS, where there
 * is none. Async-signal-safe, keeps errno.
 */
const struct table_view *agent_table(void);

#endif
