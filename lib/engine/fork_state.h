/* What a forked child inherits of its parent's engine and must not believe. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_FORK_STATE_H
#define K8SLB_ENGINE_FORK_STATE_H

/*
 * Puts the variables of libcurl, c-ares and AWS-LC back to what they were before their first use. A
 * fork() may have come at any instant of the parent's engine: a lock is taken that nobody releases,
 * and what says "done" is half done. So may the end of an engine in this process. What they had
 * allocated is left to itself, some ten KiB. By the engine's thread, before its first call of
 * libcurl. Returns 0, or -ENOMEM at the first call of a process; then libcurl must not be called.
 */
int fork_state_forget(void);

#endif
