// SPDX-License-Identifier: Apache-2.0
#include "engine/role_writer.h"

#include <limits.h>
#include <linux/futex.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/raw_syscall.h"
#include "engine/list_delay.h"
#include "engine/options.h"
#include "engine/prober.h"
#include "pipeline/pipeline.h"
#include "table/segment.h"

/* A writer without a table shows this often that it is alive. */
#define FIRST_ROUNDS_MS 100

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

/* One that writes. */
struct writer {
	struct role *role;
	struct pipeline *pipeline;
	struct prober prober;
	struct interrupt interrupt; /* the role's, and the prober */
	uint64_t began_ms;
	bool lists_first; /* the table that was left is not to be shown at once */
};

static int may_write(void *ctx)
{
	return writer_lock_check(ctx);
}

/* Followers sleep on the header of a table in which nothing was published yet. */
static void wake_followers(const struct table_view *view)
{
	raw_syscall(SYS_futex, &view->header->current, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Something better than what was left may come soon. */
static bool waits_for_lists(const struct writer *writer)
{
	return writer->lists_first && role_left_wait_ms(writer->role) > 0 &&
	       !pipeline_problem(writer->pipeline)[0] &&
	       pipeline_state(writer->pipeline).publishes == 0;
}

static int longest_round_ms(const struct writer *writer)
{
	uint32_t left_ms = role_left_wait_ms(writer->role);

	if (writer->role->shown)
		return ROLE_LONGEST_WAIT_MS;
	return left_ms > 0 && left_ms < FIRST_ROUNDS_MS ? (int)left_ms : FIRST_ROUNDS_MS;
}

static void run_round(struct writer *writer)
{
	struct role *role = writer->role;
	const struct table_view *view;

	pipeline_run(writer->pipeline, prober_wait_ms(&writer->prober, longest_round_ms(writer)));
	view = pipeline_view(writer->pipeline);
	prober_run(&writer->prober, view);
	if (!view) {
		if (pipeline_attempted(writer->pipeline))
			role->sink->no_table_yet();
		return;
	}
	if (!role->shown && waits_for_lists(writer))
		return;
	if (!role->shown)
		wake_followers(view);
	role_show(role, view);
}

/* How long the table that was left serves before it is listed anew. */
static uint32_t delay_of_lists_ms(const struct role *role)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct list_delay asks = {.lived_ms = now_ms - role->started_ms, .shown = role->shown};
	struct table_view view;
	struct table_read read;
	unsigned class;

	/* A file costs nobody anything. */
	if (role->config->api_file[0] || segment_attach_newest(role->lock.table, &view, &class) < 0)
		return 0;
	view.max_age_ms = role_max_age_ms(role);
	asks.readable = table_read_begin(&view, &read) == 0 && table_is_believable(&view);
	asks.table_age_ms = table_unheard_ms(&view);
	asks.unfinished = peek_u64(&view.header->lists_unfinished);
	asks.since_begun_ms = now_ms - peek_u64(&view.header->lists_begun_ms);
	segment_detach(&view);
	return list_delay_ms(&asks, (uint32_t)random_u64());
}

static bool has_lost_patience(const struct writer *writer)
{
	const struct role *role = writer->role;
	unsigned doubled = role->handed_on < PATIENCE_DOUBLED ? role->handed_on : PATIENCE_DOUBLED;
	uint64_t patience_ms =
		((uint64_t)PATIENCE_DELAYS << doubled) * role->config->retry_delay_ms;

	if (pipeline_hears(writer->pipeline) || !pipeline_problem(writer->pipeline)[0] ||
	    clock_monotonic_ms() - writer->began_ms < patience_ms)
		return false;
	return pipeline_state(writer->pipeline).unheard_ms >= patience_ms;
}

/* Returns false when it stays the writer. Else its pipeline is gone. */
static bool hand_on(const struct writer *writer, enum role_end *ret_end)
{
	struct role *role = writer->role;
	int rc = writer_lock_is_wanted(&role->lock);

	if (rc == 0)
		return false;
	pipeline_abandon(writer->pipeline);
	if (rc > 0)
		rc = writer_lock_release(&role->lock);
	log_info(role->logger, "no word from the API server: another process may write the table");
	*ret_end = rc < 0 ? ROLE_LOCKED_IN : ROLE_HANDED_ON;
	role->handed_on++;
	if (rc == 0)
		interrupt_pause(role->interrupt, HAND_ON_PAUSE_MS);
	return true;
}

static enum role_end run(struct writer *writer, bool shared)
{
	struct role *role = writer->role;
	enum role_end end;

	for (;;) {
		if (role_stays_out(role))
			return ROLE_MESH;
		if (shared && pipeline_is_private(writer->pipeline)) {
			writer_lock_say_private(&role->lock);
			shared = false;
		}
		run_round(writer);
		role->sink->compare_rights();
		/* It is this thread itself that had no beat; one that stays would end its waits. */
		interrupt_take_nudge(role->interrupt);
		if (interrupt_is_set(role->interrupt) || pipeline_was_refused(writer->pipeline)) {
			pipeline_abandon(writer->pipeline);
			return interrupt_is_set(role->interrupt) ? ROLE_LEFT : ROLE_LOCK_LOST;
		}
		if (pipeline_hears(writer->pipeline))
			role->handed_on = 0;
		if (shared && has_lost_patience(writer) && hand_on(writer, &end))
			return end;
	}
}

/* What others are told of who probes goes with the table: in one that is not shared this process is
 * alone. */
static void open_prober(struct writer *writer, bool shared)
{
	struct role *role = writer->role;
	uint64_t table = shared ? role->lock.table : hash_mix(random_u64());
	uint32_t probe_ms = HEALTH_DEFAULTS.probe_ms;

	if (role->config->connect_timeout_ms > probe_ms)
		probe_ms = role->config->connect_timeout_ms;
	prober_open(&writer->prober, role->sink->memory(), prober_number(table), probe_ms,
		    role->logger);
	writer->interrupt = *role->interrupt;
	writer->interrupt.other_fd = writer->prober.epoll_fd;
	role->sink->say_prober(writer->prober.number);
}

static void close_prober(struct writer *writer)
{
	writer->role->sink->say_prober(0);
	prober_close(&writer->prober);
}

enum role_end role_write(struct role *role, bool shared)
{
	struct pipeline_options options = engine_pipeline_options(role->config);
	struct writer writer = {.role = role, .began_ms = clock_monotonic_ms()};
	const struct table_view *left;
	enum role_end end;
	char error[256];

	options.interrupt = &writer.interrupt;
	if (shared) {
		options.sync.start_delay_ms = delay_of_lists_ms(role);
		options.table_identity = role->lock.table;
		options.may_write = may_write;
		options.may_write_ctx = &role->lock;
	}
	open_prober(&writer, shared);
	if (pipeline_new(&options, role->logger, &writer.pipeline, error, sizeof(error)) < 0) {
		log_error(role->logger, "no sync: %s", error);
		close_prober(&writer);
		return ROLE_NO_PIPELINE;
	}
	log_info(role->logger, "syncing from %s%s",
		 role->config->api_file[0] ? role->config->api_file : role->config->api_url,
		 shared ? " for all processes of this user" : "");
	left = pipeline_view(writer.pipeline);
	writer.lists_first =
		left && options.sync.start_delay_ms == 0 && table_unheard_ms(left) > ROLE_FRESH_MS;
	if (left && !writer.lists_first) {
		log_info(role->logger, "begins with the table that was left");
		role_show(role, left);
	}
	end = run(&writer, shared);
	close_prober(&writer);
	return end;
}
