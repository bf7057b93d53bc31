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
#include "claim.h"
#include "engine/log_file.h"
#include "engine/mesh.h"
#include "state.h"
#include "table/handover.h"

/* By now whoever looks for a table has one or none, or a handler has left the hook for good. */
#define CLAIM_MS (2 * AGENT_LIMIT_MS)

static struct {
	struct claim claim; /* of whoever looks for a table; a futex word */
	uint64_t next_try_ms;
	struct mesh_watch mesh;
	const struct table_view *moved;	       /* that a larger one was looked for already */
	struct handover_table *table;	       /* in use */
	struct handover_table *previous_table; /* somebody may just be reading it */
	uint32_t logged;		       /* 1 and the error above it; 0: nothing yet */
} own;

/* The last claim of this thread. A handler must not wait for the thread that it interrupts. */
static __thread uint64_t claimed_here;

/* Another table is wanted than @view. */
static bool is_wanting(const struct table_view *view, uint64_t now_ms)
{
	return !view || table_has_moved(view) || table_silence_ms(view, now_ms) >= TABLE_SILENT_MS;
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

/*
 * Puts @table in the place of @before. False when another one has done so meanwhile; then nobody
 * has seen this one. What was in use before the last time is nobody's any more, and is blanked, not
 * unmapped: a reader may be as slow as that.
 */
static bool take_table(struct handover_table *before, struct handover_table *table)
{
	struct handover_table *old;

	if (table == before)
		return true;
	if (!claim_pointer(&own.table, before, table)) {
		handover_discard(table);
		return false;
	}
	old = swap_pointer(&own.previous_table, before);
	if (old)
		handover_blank(old);
	return true;
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

	if (peek_u32(&own.logged) == 1 + (uint32_t)-rc)
		return;
	poke_u32(&own.logged, 1 + (uint32_t)-rc);
	if (rc == 0)
		snprintf(line, sizeof(line), "the agent at %s keeps the table",
			 shim.config.table_path);
	else
		snprintf(line, sizeof(line),
			 "no table of an agent at %s: %s (error %d): tried again",
			 shim.config.table_path, problem_of(rc), -rc);
	log_file_write(&shim.config, rc == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, line);
}

/* The table to use in the place of @view. */
static const struct table_view *find_table(const struct table_view *view, uint64_t now_ms)
{
	struct handover_table *before = observe_pointer(&own.table); /* claimed in take_table() */
	struct handover_table *table;
	int rc;

	if (stays_out(now_ms))
		return NULL;
	if (view && !is_wanting(view, now_ms))
		return view;
	poke_u64(&own.next_try_ms, now_ms + AGENT_RETRY_MS);
	if (view && table_has_moved(view))
		poke_pointer(&own.moved, view);
	rc = handover_receive(shim.config.table_path, shim.config.table_uid, AGENT_LIMIT_MS, before,
			      &table);
	log_result(rc);
	if (rc == 0 && table != before) {
		table->view.ages = true;
		table->view.max_age_ms = 1000 * (uint64_t)shim.config.max_age_s;
	}
	return rc == 0 && take_table(before, table) ? &table->view : view;
}

/* The lower half of the claim: who takes it over changes it. */
static const void *futex_of(const struct claim *claim)
{
	return &claim->word;
}

static void wait_for_other(void)
{
	const struct timespec limit = {.tv_nsec = AGENT_LIMIT_MS * 1000000L};
	uint64_t word = peek_u64(&own.claim.word);

	if (word && word != claimed_here)
		raw_syscall(SYS_futex, futex_of(&own.claim), FUTEX_WAIT_PRIVATE, (uint32_t)word,
			    &limit, NULL, 0);
}

const struct table_view *agent_table(void)
{
	KEEP_ERRNO();
	const struct table_view *view = observe_pointer(&shim.link.view); /* claimed below */
	uint64_t now_ms = clock_coarse_ms();
	uint64_t claimed;

	if (!is_due_at(view, now_ms))
		return view;
	claimed = claim_take(&own.claim, (uint32_t)getpid(), now_ms, CLAIM_MS);
	if (claimed) {
		const struct table_view *found;

		claimed_here = claimed;
		found = find_table(view, now_ms);
		if (found != view) {
			engine_attach_memory(&shim.link);
			claim_pointer(&shim.link.view, view, found); /* observed by the hooks */
		}
		claim_give_back(&own.claim, claimed);
		raw_syscall(SYS_futex, futex_of(&own.claim), FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
			    NULL, 0);
	} else if (!view) {
		wait_for_other();
	}
	return observe_pointer(&shim.link.view);
}
