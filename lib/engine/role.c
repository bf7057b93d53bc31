// SPDX-License-Identifier: Apache-2.0
#include "engine/role.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "engine/role_follower.h"
#include "engine/role_state.h"
#include "engine/role_writer.h"
#include "publish/shared_region.h"

/* Somebody removes the lock's file each time, or a file system has no count of links: what is begun
 * anew for ever is a thread that spins. */
#define MOST_LOCKS_LOST 8
/* What lasted for longer was none of these. */
#define SPIN_MS 60000

static enum role_end share(struct role *role)
{
	int rc = writer_lock_try(&role->lock);
	enum role_end end = rc == -EAGAIN ? role_follow(role) : role_end_of_lock(role, rc);

	if (end != ROLE_PROMOTED)
		return end;
	return role_stays_out(role) ? ROLE_MESH : role_write(role, true);
}

/* Not the end of the thread: where a filter refuses exit(2), libc calls it again and again. */
static void rest(const struct role *role)
{
	role->sink->publish_view(NULL);
	while (!interrupt_is_set(role->interrupt))
		interrupt_pause(role->interrupt, ROLE_LONGEST_WAIT_MS);
}

/* Anew, because the program may be another user by now. One that was handed on is waited for with
 * the same descriptor where the program has left its root. */
static int open_lock(struct role *role)
{
	struct writer_lock before = role->lock;
	int rc = writer_lock_open(role->identity, &role->lock);

	if (rc < 0 && before.fd >= 0 && writer_lock_is_ours(&before))
		return 0;
	writer_lock_close(&before);
	return rc;
}

/* With another layout one has another lock, and so another table: each would wait in vain for what
 * the other one writes, and take it for dead. */
static uint64_t identity_of(const struct config *config)
{
	return hash_mix(config_table_identity(config) ^ hash_mix(TABLE_VERSION));
}

void role_run(const struct config *config, const struct logger *logger,
	      const struct interrupt *interrupt, const struct role_sink *sink)
{
	struct role role = {
		.config = config,
		.logger = logger,
		.interrupt = interrupt,
		.sink = sink,
		.identity = identity_of(config),
		.lock = {.fd = -1, .line = LIFELINE_NONE},
		.started_ms = clock_monotonic_ms(),
	};
	enum role_end end = ROLE_LOCK_LOST;
	unsigned lost;

	if (role_stays_out(&role))
		return;
	for (lost = 0; end == ROLE_HANDED_ON || (end == ROLE_LOCK_LOST && lost < MOST_LOCKS_LOST);
	     lost += end == ROLE_LOCK_LOST) {
		uint64_t began_ms = clock_monotonic_ms();
		int rc = open_lock(&role);

		if (rc < 0) {
			log_info(logger, "the table is this process's own: /dev/shm: %s",
				 strerror(-rc));
			end = ROLE_NOTHING_SHARED;
			break;
		}
		end = share(&role);
		if (clock_monotonic_ms() - began_ms > SPIN_MS)
			lost = 0;
		/* As long as the file is open here, no other one has its inode, and so this table.
		 */
		if (end == ROLE_LOCK_LOST)
			region_remove_all(role.lock.table);
		if (end != ROLE_HANDED_ON)
			writer_lock_close(&role.lock);
	}
	if (end == ROLE_LOCK_LOST) {
		log_info(logger, "the table is this process's own: its lock was removed %u times",
			 lost);
		end = ROLE_NOTHING_SHARED;
	}
	if (end == ROLE_NOTHING_SHARED) {
		/* What it showed before is not known to have a writer. */
		if (role.handed_on)
			sink->publish_view(NULL);
		end = role_write(&role, false);
	}
	/* A follower may be locked in too, and hears of it when it gets the lock. */
	if (end == ROLE_LOCKED_IN || (end == ROLE_NO_PIPELINE && role.shown))
		rest(&role);
}
