/* Who provides the table, an engine of this process or an agent: all that depends on it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_PROVIDER_H
#define K8SLB_SHIM_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "asked.h"
#include "state.h"

/* With K8SLB_TABLE no thread is ever started here, and the API server never asked. */
static inline bool provider_is_agent(void)
{
	return shim.config.table_path[0] != '\0';
}

/*
 * The table that took the place of @view, which says "moved", or @view itself where that cannot be
 * had by now. Async-signal-safe.
 */
const struct table_view *provider_follow_move(const struct table_view *view);

/* The table that the hooks read at this moment; NULL: there is none. */
static inline const struct table_view *provider_view(void)
{
	/* Pairs with the publish of whoever writes engine_link.view. */
	const struct table_view *view = observe_pointer(&shim.link.view);

	return view && table_has_moved(view) ? provider_follow_move(view) : view;
}

/* Nothing is to be started or looked for before @view, the table in use, is used. No system call.
 */
bool provider_is_settled(const struct table_view *view);

/*
 * For a call that could match: the table, or NULL. An engine is started where this process has none
 * (engine_state.h), and where there is no table its first one waited for, @longest_wait_ms at most,
 * or until a signal handler ran. An agent is asked when that is due (agent.h). Async-signal-safe,
 * keeps errno.
 */
const struct table_view *provider_await(uint32_t longest_wait_ms);

/* The same for a name lookup, which no signal ends. */
const struct table_view *provider_await_for_lookup(void);

/* This program asks for the port that (@vip, @port) is in the table: only an agent's has more than
 * that. */
static inline bool provider_covers_vip(const struct table_view *view, const struct ip_address *vip,
				       uint16_t port)
{
	return !provider_is_agent() || asked_covers_vip(&shim.config, view, vip, port);
}

/* The same for a port that was looked up by its Service's name. */
static inline bool provider_covers_port(const struct table_read *read, const char *namespace,
					const char *name, const struct table_port *port)
{
	return !provider_is_agent() || asked_covers_port(&shim.config, read, namespace, name, port);
}

#endif
