// SPDX-License-Identifier: Apache-2.0
#include "provider.h"

#include "agent.h"
#include "engine_state.h"
#include "process.h"
#include "view.h"

const struct table_view *provider_follow_move(const struct table_view *view)
{
	return provider_is_agent() ? agent_table() : view_follow_move(view);
}

bool provider_is_settled(const struct table_view *view)
{
	return provider_is_agent() ? !agent_is_due(view) : process_has_engine();
}

static const struct table_view *await_engine(uint32_t longest_wait_ms, bool ends_by_signal)
{
	struct process *process = process_current();
	const struct table_view *view;

	if (longest_wait_ms > 0)
		engine_state_await_adoption(process);
	engine_state_start(process);
	view = provider_view();
	if (!view && longest_wait_ms > 0) {
		engine_state_await_table(process, longest_wait_ms, ends_by_signal);
		view = provider_view();
	}
	engine_state_check_writer(process, view);
	return view;
}

const struct table_view *provider_await(uint32_t longest_wait_ms)
{
	return provider_is_agent() ? agent_table() : await_engine(longest_wait_ms, true);
}

const struct table_view *provider_await_for_lookup(void)
{
	return provider_is_agent() ? agent_table() : await_engine(UINT32_MAX, false);
}
