// SPDX-License-Identifier: Apache-2.0
#include "engine/role.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/raw_syscall.h"
#include "engine/mesh.h"
#include "engine/options.h"
#include "engine/writer_lock.h"
#include "pipeline/pipeline.h"
#include "table/segment.h"

/* Nothing is due for so long only when the network is silent; then a round is free. */
#define LONGEST_WAIT_MS (60 * 1000)

/* A writer that does not stand still has gone round by then. */
#define LATE_ROUND_MS (LONGEST_WAIT_MS + 5000)

/* A mesh's proxy may come up after the program, and seldom leaves. */
#define MESH_CHECK_MS (60 * 1000)

/* While the writer has no table yet. */
#define FOLLOW_PAUSE_MS 20

/* A writer without a table shows this often that it is alive. */
#define FIRST_ROUNDS_MS 100

/* The holder of the lock makes the segment at once and lives up to the above. One that is stopped
 * (SIGSTOP, a debugger) before its first table must not stop the others. */
#define STUCK_MS 2000

/* Somebody removes the lock's file each time, or a file system has no count of links: what is begun
 * anew for ever is a thread that spins. */
#define MOST_LOCKS_LOST 8

/*
 * What a table that was left is worth to a new process. As fresh as this it is shown at once, and a
 * young process needs no watch yet: in a chain of short-lived programs each would open one, and
 * end. An older one is shown when the API server does not answer within LEFT_WAIT_MS, or is known
 * to be away: a program that runs once an hour must not connect to the pods of an hour ago. That is
 * less than a non-blocking connect() waits (CONFIG_NONBLOCKING_WAIT_MS).
 */
#define FRESH_S	     1
#define LEFT_WAIT_MS 250

/* Writers that end at once in many Pods, as after a bad rollout, must not all list at once. */
#define SPREAD_MS 1000

/*
 * A writer that cannot hear the API server gives others a chance: it may be alone with that, in a
 * sandbox or a network of its own, and all are kept from the changes by it. So many times
 * K8SLB_RETRY_DELAY, a minute by default; doubled each time, because a server that is gone is so
 * for all of them, and because each time leaves a mapping behind that hooks may be reading.
 */
#define PATIENCE_DELAYS	 12
#define PATIENCE_DOUBLED 10
/* Whoever waits for the lock wakes up in it. */
#define HAND_ON_PAUSE_MS 200

/* Why a role ended. */
enum end {
	END_MESH,	 /* stay out */
	END_NO_PIPELINE, /* nothing can be synced */
	END_LOCK_LOST,	 /* somebody removed the lock's file: begin anew */
	END_NOTHING_SHARED,
	END_PROMOTED,  /* a follower has the lock now */
	END_HANDED_ON, /* another process may do better: follow it */
	END_LOCKED_IN, /* by the program's own filter of system calls, or the like */
};

struct role {
	const struct config *config;
	const struct logger *logger;
	const struct role_sink *sink;
	uint64_t identity;
	struct writer_lock lock;
	uint64_t started_ms;
	uint64_t mesh_checked_ms; /* 0: never */
	unsigned handed_on;	  /* times since it last heard the API server */
	bool left_old;		  /* the table that was left is not to be shown at once */
	bool shown;		  /* a table was published to the hooks */
};

static bool stays_out(struct role *role)
{
	uint64_t now_ms = clock_monotonic_ms();
	const char *mesh;

	if (role->config->mesh != MESH_AVOID ||
	    (role->mesh_checked_ms && now_ms - role->mesh_checked_ms < MESH_CHECK_MS))
		return false;
	role->mesh_checked_ms = now_ms;
	mesh = mesh_detect();
	if (mesh)
		log_error(role->logger, MESH_MESSAGE, mesh);
	return mesh;
}

static void show(struct role *role, const struct table_view *view)
{
	role->sink->publish_view(view);
	role->shown = true;
}

/* ---- The writer ---- */

static bool may_publish(void *ctx)
{
	return writer_lock_is_valid(ctx);
}

/* Followers sleep on the header of a table in which nothing was published yet. */
static void wake_followers(const struct table_view *view)
{
	raw_syscall(SYS_futex, &view->header->current, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Seconds since the writer of the table heard the API server. */
static uint64_t age_s(const struct table_view *view)
{
	uint64_t heard_s = peek_u64(&view->header->writer_heartbeat_s);
	uint64_t now_s = clock_realtime_s();

	return heard_s <= now_s ? now_s - heard_s : UINT64_MAX;
}

static bool waited_enough(const struct role *role)
{
	return clock_monotonic_ms() - role->started_ms >= LEFT_WAIT_MS;
}

static void run_round(struct role *role, struct pipeline *pipeline)
{
	const struct table_view *view;

	pipeline_run(pipeline, role->shown ? LONGEST_WAIT_MS : FIRST_ROUNDS_MS);
	view = pipeline_view(pipeline);
	if (view && !role->shown && role->left_old && !waited_enough(role) &&
	    !pipeline_problem(pipeline)[0] && !pipeline_state(pipeline).publishes)
		return;
	if (!view) {
		if (pipeline_attempted(pipeline))
			role->sink->no_table_yet();
		return;
	}
	if (!role->shown)
		wake_followers(view);
	show(role, view);
}

/* How long the table that was left serves before it is listed anew; 0: it does not serve. */
static uint32_t start_delay_ms(const struct role *role)
{
	uint64_t age_ms = clock_monotonic_ms() - role->started_ms;
	uint32_t delay_ms = (uint32_t)(random_u64() % SPREAD_MS);
	struct table_view view;
	struct table_read read;
	unsigned class;

	if (segment_attach_newest(role->lock.table, &view, &class) < 0)
		return 0;
	if (table_read_begin(&view, &read) < 0 || (!role->shown && age_s(&view) > FRESH_S))
		delay_ms = 0;
	else if (age_s(&view) < FRESH_S && age_ms < FRESH_S * 1000)
		delay_ms += FRESH_S * 1000 - (uint32_t)age_ms;
	segment_detach(&view);
	return delay_ms;
}

/* @began_ms: since when it writes. */
static bool has_lost_patience(const struct role *role, const struct pipeline *pipeline,
			      uint64_t began_ms)
{
	unsigned doubled = role->handed_on < PATIENCE_DOUBLED ? role->handed_on : PATIENCE_DOUBLED;
	uint64_t patience_ms =
		((uint64_t)PATIENCE_DELAYS << doubled) * role->config->retry_delay_ms;
	uint64_t heard_s;
	uint64_t now_s;

	if (pipeline_hears(pipeline) || !pipeline_problem(pipeline)[0] ||
	    clock_monotonic_ms() - began_ms < patience_ms)
		return false;
	heard_s = pipeline_state(pipeline).heard_s;
	now_s = clock_realtime_s();
	return heard_s > now_s || (now_s - heard_s) * 1000 >= patience_ms;
}

/* Returns false when it stays the writer. Else @pipeline is gone. */
static bool hand_on(struct role *role, struct pipeline *pipeline, enum end *ret_end)
{
	struct timespec pause = {.tv_nsec = HAND_ON_PAUSE_MS * 1000000L};
	int rc = writer_lock_is_wanted(&role->lock);

	if (rc == 0)
		return false;
	pipeline_abandon(pipeline);
	if (rc > 0)
		rc = writer_lock_release(&role->lock);
	log_info(role->logger, "no word from the API server: another process may write the table");
	*ret_end = rc < 0 ? END_LOCKED_IN : END_HANDED_ON;
	role->handed_on++;
	if (rc == 0)
		nanosleep(&pause, NULL);
	return true;
}

static enum end write_table(struct role *role, bool shared)
{
	struct pipeline_options options = engine_pipeline_options(role->config);
	struct pipeline *pipeline;
	const struct table_view *left;
	uint64_t began_ms = clock_monotonic_ms();
	enum end end;
	char error[256];

	if (shared) {
		options.sync.start_delay_ms = start_delay_ms(role);
		options.table_identity = role->lock.table;
		options.may_publish = may_publish;
		options.may_publish_ctx = &role->lock;
	}
	if (pipeline_new(&options, role->logger, &pipeline, error, sizeof(error)) < 0) {
		log_error(role->logger, "no sync: %s", error);
		return END_NO_PIPELINE;
	}
	log_info(role->logger, "syncing from %s%s",
		 role->config->api_file[0] ? role->config->api_file : role->config->api_url,
		 shared ? " for all processes of this user" : "");
	left = pipeline_view(pipeline);
	role->left_old = left && age_s(left) > FRESH_S;
	if (left && !role->left_old) {
		log_info(role->logger, "begins with the table that was left");
		show(role, left);
	}
	for (;;) {
		if (stays_out(role))
			return END_MESH;
		run_round(role, pipeline);
		if (pipeline_was_refused(pipeline)) {
			pipeline_abandon(pipeline);
			return END_LOCK_LOST;
		}
		if (pipeline_hears(pipeline))
			role->handed_on = 0;
		if (shared && has_lost_patience(role, pipeline, began_ms) &&
		    hand_on(role, pipeline, &end))
			return end;
	}
}

/* ---- A follower ---- */

static void wait_for_publish(const struct table_view *view)
{
	struct timespec pause = {.tv_nsec = FOLLOW_PAUSE_MS * 1000000L};

	/* Else the kernel would not wait: a table that was left has a number. */
	if (view && peek_u64(&view->header->current) == 0)
		raw_syscall(SYS_futex, &view->header->current, FUTEX_WAIT, 0, &pause, NULL, 0);
	else
		nanosleep(&pause, NULL);
	/* Unlike a raw system call a point where guest_thread_end() can end us. */
	pause.tv_nsec = 0;
	nanosleep(&pause, NULL);
}

static bool is_stuck(const struct table_view *view, uint64_t started_ms)
{
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t last_ms = view ? table_writer_round_ms(view) : 0;

	if (last_ms < started_ms || last_ms > now_ms)
		last_ms = started_ms;
	return now_ms - last_ms > STUCK_MS;
}

/* It has expired: connections are kube-proxy's until the API server is heard again, and waiting for
 * that is no use. */
static bool is_there(const struct table_view *view)
{
	struct table_read read;

	return peek_u32(&view->header->live) == TABLE_EXPIRED || table_read_begin(view, &read) == 0;
}

/* What came of asking for the lock. */
static enum end end_of(const struct role *role, int rc)
{
	if (rc == 0)
		return END_PROMOTED;
	if (rc == -ESTALE)
		return END_LOCK_LOST;
	log_info(role->logger, "no lock for the shared table: %s", strerror(-rc));
	return END_NOTHING_SHARED;
}

/* Of its own for each: hooks may be reading that of an earlier role, or of the parent's that forked
 * this process. NULL: no memory. */
static const struct table_view *keep_for_ever(const struct table_view *view)
{
	struct table_view *kept = malloc(sizeof(*kept));

	if (kept)
		*kept = *view;
	return kept;
}

/* Its writer says that it is live, or that no word is to be had, and was there to say so: one that
 * was killed leaves the word, and the next one has the lock for a moment before it takes it back.
 */
static bool is_as_good_as_it_gets(const struct table_view *view)
{
	uint64_t round_ms = table_writer_round_ms(view);
	uint64_t now_ms = clock_monotonic_ms();

	return (table_is_live(view) || table_api_is_away(view)) && round_ms <= now_ms &&
	       now_ms - round_ms <= LATE_ROUND_MS;
}

static bool is_worth_showing(const struct role *role, const struct table_view *view)
{
	return is_there(view) &&
	       (is_as_good_as_it_gets(view) || age_s(view) <= FRESH_S || waited_enough(role));
}

/* Until the writer has published: there is nothing to show before. Returns true when it has. */
static bool await_table(struct role *role, enum end *ret_end)
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
		kept = view && is_worth_showing(role, view) ? keep_for_ever(view) : NULL;
		if (kept) {
			/* Before: a program may be at its end as soon as it has a table. */
			log_info(role->logger, "another process of this user writes the table");
			show(role, kept);
			return true;
		}
		if (view && table_has_failed(view))
			role->sink->no_table_yet();
		rc = writer_lock_try(&role->lock);
		if (rc == -EAGAIN && !is_stuck(view, started_ms)) {
			wait_for_publish(view);
			continue;
		}
		if (rc == -EAGAIN)
			log_info(role->logger, "the process that writes the table does not move");
		*ret_end = rc == -EAGAIN ? END_NOTHING_SHARED : end_of(role, rc);
		if (view)
			segment_detach(view);
		return false;
	}
}

static enum end follow(struct role *role)
{
	enum end end;

	writer_lock_ask_for(&role->lock);
	if (!await_table(role, &end))
		return end;
	return end_of(role, writer_lock_wait(&role->lock));
}

/* ---- Both ---- */

static enum end share(struct role *role)
{
	int rc = writer_lock_try(&role->lock);
	enum end end = rc == -EAGAIN ? follow(role) : end_of(role, rc);

	if (end != END_PROMOTED)
		return end;
	return stays_out(role) ? END_MESH : write_table(role, true);
}

/* Not the end of the thread: where a filter refuses exit(2), libc calls it again and again. */
static void rest(const struct role *role)
{
	static const uint32_t never;
	const struct timespec pause = {.tv_sec = LONGEST_WAIT_MS / 1000};

	role->sink->publish_view(NULL);
	for (;;) {
		/* That may be refused too. */
		if (nanosleep(&pause, NULL) < 0)
			raw_syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &pause, NULL, 0);
	}
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

void role_run(const struct config *config, const struct logger *logger,
	      const struct role_sink *sink)
{
	struct role role = {
		.config = config,
		.logger = logger,
		.sink = sink,
		.identity = config_table_identity(config),
		.lock = {.folder = -1, .fd = -1},
		.started_ms = clock_monotonic_ms(),
	};
	enum end end = END_LOCK_LOST;
	unsigned lost;

	if (stays_out(&role))
		return;
	for (lost = 0; end == END_HANDED_ON || (end == END_LOCK_LOST && lost < MOST_LOCKS_LOST);
	     lost += end == END_LOCK_LOST) {
		int rc = open_lock(&role);

		if (rc < 0) {
			log_info(logger, "the table is this process's own: /dev/shm: %s",
				 strerror(-rc));
			end = END_NOTHING_SHARED;
			break;
		}
		end = share(&role);
		if (end != END_HANDED_ON)
			writer_lock_close(&role.lock);
	}
	if (end == END_LOCK_LOST) {
		log_info(logger, "the table is this process's own: its lock was removed %u times",
			 lost);
		end = END_NOTHING_SHARED;
	}
	if (end == END_NOTHING_SHARED) {
		/* What it showed before is not known to have a writer. */
		if (role.handed_on)
			sink->publish_view(NULL);
		end = write_table(&role, false);
	}
	/* A follower may be locked in too, and hears of it when it gets the lock. */
	if (end == END_LOCKED_IN || (end == END_NO_PIPELINE && role.shown))
		rest(&role);
}
