/* What a forked child inherits of its parent's engine and must not believe. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_FORK_STATE_H
#define K8SLB_ENGINE_FORK_STATE_H

/*
 * Puts libcurl back to the state before curl_global_init(). A fork() may have come while the
 * parent's engine was in there: its lock would spin for ever, and a count above 0 says "done" of
 * what is half done (TLS without random numbers). What the parent had set up is left to itself, a
 * few hundred bytes. By the engine's thread, before its first call of libcurl.
 */
void fork_state_forget(void);

#endif
