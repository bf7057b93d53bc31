// SPDX-License-Identifier: Apache-2.0
#include "engine/role_follower.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/raw_syscall.h"
#include "engine/prober.h"
#include "table/segment.h"

/* While the writer has no table yet. */
#define FOLLOW_PAUSE_MS 20

/* The holder of the lock makes the segment at once and lives up to the above. One that is stopped
 * (SIGSTOP, a debugger) before its first table must not stop the others. */
#define STUCK_MS 2000

/* A writer that has no beat is looked at so often before its place is taken: for 2 s and a random
 * part of 4 s, so that one follower does it and the others find it done. */
#define LOOK_MS	    250
#define LEAST_LOOKS 8
#define MORE_LOOKS  16

static void wait_for_publish(const struct role *role, const struct table_view *view)
{
	const struct timespec pause = {.tv_nsec = FOLLOW_PAUSE_MS * 1000000L};

	/* Else the kernel would not wait: a table that was left has a number. */
	if (view && peek_u64(&view->header->current) == 0)
		raw_syscall(SYS_futex, &view->header->current, FUTEX_WAIT, 0, &pause, NULL, 0);
	else
		interrupt_pause(role->interrupt, FOLLOW_PAUSE_MS);
}

static bool is_stuck(const struct table_view *view, uint64_t started_ms)
{
	uint64_t now_ms = clock_coarse_ms();
	uint64_t waited_ms = table_age_ms(started_ms, now_ms);
	uint64_t silence_ms = view ? table_silence_ms(view, now_ms) : UINT64_MAX;

	return (silence_ms < waited_ms ? silence_ms : waited_ms) > STUCK_MS;
}

/* Of its own for each: hooks may be reading that of an earlier role, or of the parent's that forked
 * this process. NULL: no memory. */
static const struct table_view *keep_for_ever(const struct role *role,
					      const struct table_view *view)
{
	struct table_view *kept = malloc(sizeof(*kept));

	if (kept) {
		*kept = *view;
		kept->ages = true;
		kept->max_age_ms = role_max_age_ms(role);
	}
	return kept;
}

/* Its writer says that it is live, or that no word is to be had, and was there to say so: one that
 * was killed leaves the word, and the next one has the lock for a moment before it takes it back.
 */
static bool is_as_good_as_it_gets(const struct table_view *view)
{
	return (table_is_live(view) || table_api_is_away(view)) && table_has_beat(view);
}

static bool is_worth_showing(const struct role *role, const struct table_view *view)
{
	struct table_read read;

	return table_read_begin(view, &read) == 0 &&
	       (is_as_good_as_it_gets(view) || table_unheard_ms(view) <= ROLE_FRESH_MS ||
		role_left_wait_ms(role) == 0);
}

/* Until the writer has published: there is nothing to show before. Returns what is shown, or NULL.
 */
static const struct table_view *await_table(struct role *role, enum role_end *ret_end)
{
	uint64_t started_ms = clock_monotonic_ms();
	struct table_view found;
	const struct table_view *view = NULL; /* @found, or NULL */

	for (;;) {
		const struct table_view *kept;
		unsigned class;
		int rc;

		if (!view && segment_attach_newest(role->lock.table, &found, &class) == 0)
			view = &found;
		/* To where, is seen after a pause: it may be on its way, or somebody removed it. */
		if (view && table_has_moved(view)) {
			segment_detach(view);
			view = NULL;
		}
		kept = view && is_worth_showing(role, view) ? keep_for_ever(role, view) : NULL;
		if (kept) {
			/* Before: a program may be at its end as soon as it has a table. */
			log_info(role->logger, "another process of this user writes the table");
			role_show(role, kept);
			return kept;
		}
		if (view && table_has_failed(view))
			role->sink->no_table_yet();
		rc = writer_lock_try(&role->lock);
		if (rc == -EAGAIN && interrupt_is_set(role->interrupt))
			rc = -ECANCELED;
		if (rc == -EAGAIN && writer_lock_is_private(&role->lock))
			rc = -ENODATA;
		if (rc == -EAGAIN && !is_stuck(view, started_ms)) {
			wait_for_publish(role, view);
			continue;
		}
		if (rc == -EAGAIN)
			log_info(role->logger, "the process that writes the table does not move");
		*ret_end = rc == -EAGAIN ? ROLE_NOTHING_SHARED : role_end_of_lock(role, rc);
		if (view)
			segment_detach(view);
		return NULL;
	}
}

/* Whether the table's writer has beaten since @beat_ms, or the table has another place by now. */
static bool lives(const struct table_view *view, uint64_t beat_ms)
{
	return table_has_moved(view) || peek_u64(&view->header->beat_ms) != beat_ms;
}

/*
 * The writer of @view has had no beat for TABLE_GONE_MS, says a hook. Both may have been frozen, or
 * starved, and only this thread runs again: what counts is what it sees from now on, while it runs
 * itself. Takes the lock's file away from one that stands still. Returns 0, -ESTALE or -ECANCELED.
 */
static int check_writer(const struct role *role, const struct table_view *view)
{
	uint64_t beat_ms = peek_u64(&view->header->beat_ms);
	unsigned looks = LEAST_LOOKS + (unsigned)(random_u64() % MORE_LOOKS);
	uint64_t now_ms;

	while (looks-- > 0) {
		interrupt_pause(role->interrupt, LOOK_MS);
		if (interrupt_is_set(role->interrupt))
			return -ECANCELED;
		if (writer_lock_check(&role->lock) == -ESTALE)
			return -ESTALE;
		if (lives(view, beat_ms))
			return 0;
	}
	now_ms = clock_coarse_ms();
	if (table_silence_ms(view, now_ms) < TABLE_GONE_MS || lives(view, beat_ms))
		return 0;
	log_info(role->logger,
		 "the process that writes the table stands still: its place is taken");
	return writer_lock_remove(&role->lock) == 0 ? -ESTALE : 0;
}

/* The table that followers have now: @view, or what is in its place. */
static int follow_table(struct role *role, const struct table_view **view)
{
	struct table_view found;
	const struct table_view *kept;
	unsigned class;
	int rc;

	if (segment_attach_newest(role->lock.table, &found, &class) < 0)
		return check_writer(role, *view);
	/* Whoever wrote it has ended, and the next one could not have its segment. */
	if (table_has_beat(&found) && (!table_has_beat(*view) || table_has_moved(*view))) {
		kept = keep_for_ever(role, &found);
		if (kept) {
			role_show(role, kept);
			*view = kept;
			return 0;
		}
	}
	rc = check_writer(role, &found);
	segment_detach(&found);
	return rc;
}

/* As a hook would see it. */
static bool is_to_look(const struct table_view *view)
{
	uint64_t now_ms = clock_coarse_ms();

	return table_has_moved(view) || table_silence_ms(view, now_ms) >= TABLE_GONE_MS;
}

/* Until the lock is ours, or the table in use is to be looked at: -EINTR. Else as
 * writer_lock_wait(). */
static int await_turn(struct role *role, const struct table_view *view)
{
	int rc;

	if (!role->sink->is_unhooked())
		return writer_lock_wait(&role->lock, role->interrupt);
	do {
		role->sink->compare_rights();
		rc = writer_lock_wait_for(&role->lock, role->interrupt, UNHOOKED_LOOK_MS);
	} while (rc == -ETIMEDOUT && !is_to_look(view));
	return rc == -ETIMEDOUT ? -EINTR : rc;
}

enum role_end role_follow(struct role *role)
{
	const struct table_view *view;
	enum role_end end;
	int rc;

	writer_lock_ask_for(&role->lock);
	view = await_table(role, &end);
	if (!view)
		return end;
	role->sink->say_prober(prober_number(role->lock.table));
	for (;;) {
		rc = await_turn(role, view);
		if (rc != -EINTR)
			return role_end_of_lock(role, rc);
		rc = follow_table(role, &view);
		if (rc < 0)
			return role_end_of_lock(role, rc);
	}
}
