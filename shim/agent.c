// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "engine/log_file.h"
#include "engine/mesh.h"
#include "state.h"
#include "table/handover.h"

static struct {
	uint32_t attaching; /* pid of the process whose thread is at it; 0: nobody. A futex word */
	uint64_t next_try_ms;
	struct mesh_watch mesh;
	const struct table_view *moved;	       /* that a larger one was looked for already */
	struct handover_table *table;	       /* by the thread that attaches */
	struct handover_table *previous_table; /* somebody may just be reading it */
	bool logged;
	int logged_rc;
} own;

/* A handler must not wait for the thread that it interrupts. */
static __thread bool attaching_here;

/* Another table is wanted than @view. */
static bool is_wanting(const struct table_view *view, uint64_t now_ms)
{
	return !view || table_has_moved(view) || !handover_is_fresh(view, now_ms);
}

static bool is_due_at(const struct table_view *view, uint64_t now_ms)
{
	if (peek_u32(&own.mesh.found))
		return false;
	if (mesh_is_due(&own.mesh, shim.config.mesh, now_ms))
		return true;
	if (!is_wanting(view, now_ms))
		return false;
	/* Once a second, but a larger table is there at once. */
	return now_ms >= peek_u64(&own.next_try_ms) ||
	       (view && table_has_moved(view) && peek_pointer(&own.moved) != view);
}

bool agent_is_due(const struct table_view *view)
{
	return is_due_at(view, clock_coarse_ms());
}

static bool stays_out(uint64_t now_ms)
{
	const char *mesh = mesh_look(&own.mesh, shim.config.mesh, now_ms);
	char line[LOG_LINE_SIZE];

	if (!mesh)
		return false;
	snprintf(line, sizeof(line), MESH_MESSAGE, mesh);
	log_file_write(&shim.config, LOG_LEVEL_ERROR, line);
	return true;
}

/* Nothing was heard of the API server for longer than K8SLB_MAX_AGE; while it writes, the agent
 * says so itself, after its own. */
static bool is_expired(const struct table_view *view)
{
	uint64_t heard_s = peek_u64(&view->header->heard_s);
	uint64_t now_s = clock_realtime_s();

	return shim.config.max_age_s &&
	       (heard_s > now_s || now_s - heard_s > shim.config.max_age_s);
}

static void take_table(struct handover_table *table)
{
	if (table == own.table)
		return;
	if (own.previous_table)
		handover_blank(own.previous_table);
	own.previous_table = own.table;
	own.table = table;
}

/* Not strerror(), which takes a lock of libc's and reads files where the program has a language. */
static const char *problem_of(int rc)
{
	switch (rc) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "nobody is there";
	case -EPERM:
	case -EACCES:
		return "not permitted, or somebody else's";
	case -ETIMEDOUT:
		return "no answer";
	case -EBADMSG:
	case -ENOTSOCK:
		return "what is there is none";
	default:
		return "failed";
	}
}

/* Once, until it is another. */
static void log_result(int rc)
{
	char line[LOG_LINE_SIZE];

	if (own.logged && rc == own.logged_rc)
		return;
	own.logged = true;
	own.logged_rc = rc;
	if (rc == 0)
		snprintf(line, sizeof(line), "the agent at %s keeps the table",
			 shim.config.table_path);
	else
		snprintf(line, sizeof(line),
			 "no table of an agent at %s: %s (error %d): tried again",
			 shim.config.table_path, problem_of(rc), -rc);
	log_file_write(&shim.config, rc == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, line);
}

/* The table to use from now on. */
static const struct table_view *find_table(const struct table_view *view, uint64_t now_ms)
{
	struct handover_table *table;
	int rc;

	if (stays_out(now_ms))
		return NULL;
	if (view && !is_wanting(view, now_ms))
		return view;
	poke_u64(&own.next_try_ms, now_ms + AGENT_RETRY_MS);
	if (view && table_has_moved(view))
		poke_pointer(&own.moved, view);
	rc = handover_receive(shim.config.table_path, AGENT_LIMIT_MS, own.table, &table);
	log_result(rc);
	if (rc == 0) {
		take_table(table);
		return &table->view;
	}
	return view && !is_expired(view) ? view : NULL;
}

static void wait_for_other(uint32_t attacher)
{
	struct timespec limit = {.tv_nsec = AGENT_LIMIT_MS * 1000000L};

	raw_syscall(SYS_futex, &own.attaching, FUTEX_WAIT_PRIVATE, attacher, &limit, NULL, 0);
}

const struct table_view *agent_table(void)
{
	KEEP_ERRNO();
	const struct table_view *view = observe_pointer(&shim.link.view); /* published below */
	uint32_t pid = (uint32_t)getpid();
	uint32_t attacher = peek_u32(&own.attaching);
	uint64_t now_ms = clock_coarse_ms();

	if (!is_due_at(view, now_ms))
		return view;
	/* Another number than ours: this process was forked while its parent's thread was at it. */
	if (attacher == pid || !claim_u32(&own.attaching, attacher, pid)) {
		if (!view && !attaching_here)
			wait_for_other(pid);
	} else {
		const struct table_view *found;

		attaching_here = true;
		found = find_table(view, now_ms);
		attaching_here = false;
		if (found != view) {
			engine_attach_memory(&shim.link);
			publish_pointer(&shim.link.view, found); /* observed by the hooks */
		}
		publish_u32(&own.attaching, 0);
		raw_syscall(SYS_futex, &own.attaching, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	}
	return observe_pointer(&shim.link.view);
}
