// SPDX-License-Identifier: Apache-2.0
#include "engine/role_state.h"

#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "engine/options.h"

bool role_stays_out(struct role *role)
{
	const char *mesh = mesh_look(&role->mesh, role->config->mesh, clock_monotonic_ms());

	if (mesh)
		log_error(role->logger, MESH_MESSAGE, mesh);
	return mesh;
}

void role_show(struct role *role, const struct table_view *view)
{
	role->sink->publish_view(view);
	role->shown = true;
}

uint32_t role_left_wait_ms(const struct role *role)
{
	uint64_t waited_ms = clock_monotonic_ms() - role->started_ms;

	return waited_ms < ROLE_LEFT_WAIT_MS ? ROLE_LEFT_WAIT_MS - (uint32_t)waited_ms : 0;
}

uint64_t role_max_age_ms(const struct role *role)
{
	return 1000 * (uint64_t)engine_pipeline_options(role->config).max_age_s;
}

enum role_end role_end_of_lock(const struct role *role, int rc)
{
	if (rc == 0)
		return ROLE_PROMOTED;
	if (rc == -ESTALE)
		return ROLE_LOCK_LOST;
	if (rc == -ECANCELED)
		return ROLE_LEFT;
	if (rc == -ENODATA)
		log_info(role->logger, "the process that writes has a table of its own");
	else
		log_info(role->logger, "no lock for the shared table: %s", strerror(-rc));
	return ROLE_NOTHING_SHARED;
}
