// SPDX-License-Identifier: Apache-2.0
#include "activate.h"

#include "attach.h"
#include "engine_state.h"
#include "process.h"
#include "state.h"
#include "view.h"

bool activate_could_match(const struct ip_address *ip, uint16_t port)
{
	const struct config *config = &shim.config;

	if (ip_never_cluster(ip))
		return false;
	for (unsigned i = 0; i < config->service_count; i++) {
		const struct service_ref *ref = &config->services[i];

		if (ref->has_vip) {
			if (ip_equal(&ref->vip, ip) &&
			    port == (ref->vip_port ? ref->vip_port : ref->port))
				return true;
		} else if (!ref->port || ref->port == port) {
			return true;
		}
	}
	return false;
}

static const struct table_view *start_and_wait(uint32_t longest_wait_ms, bool ends_by_signal)
{
	struct process *process = process_current();
	const struct table_view *view;

	if (longest_wait_ms > 0)
		engine_state_await_adoption(process);
	engine_state_start(process);
	view = current_view();
	if (!view && longest_wait_ms > 0) {
		engine_state_await_table(process, longest_wait_ms, ends_by_signal);
		view = current_view();
	}
	return view;
}

bool activate_is_done(const struct table_view *view)
{
	return attach_is_used() ? !attach_is_due(view) : process_has_engine();
}

const struct table_view *activate(uint32_t longest_wait_ms)
{
	if (attach_is_used())
		return attach();
	return start_and_wait(longest_wait_ms, true);
}

const struct table_view *activate_for_lookup(void)
{
	if (attach_is_used())
		return attach();
	return start_and_wait(UINT32_MAX, false);
}
