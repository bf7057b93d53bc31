// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <limits.h>
#include <string.h>
#include <linux/futex.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/raw_syscall.h"
#include "engine/fork_state.h"
#include "engine/log_file.h"
#include "engine/mesh.h"
#include "engine/options.h"
#include "engine/thread_setup.h"
#include "pipeline/pipeline.h"

/* Nothing is due for so long only when the network is silent; then a round is free. */
#define LONGEST_WAIT_MS (60 * 1000)

/* A mesh's proxy may come up after the program, and seldom leaves. */
#define MESH_CHECK_MS (60 * 1000)

/* A forked child starts again with its own link; the parent's thread is not in it. */
static const struct config *engine_config;
static struct engine_link *engine_link;

static pthread_t engine_thread;
static uint32_t engine_tid; /* 0: it has not begun yet */

static __thread bool own_thread;

static void set_first_sync(uint32_t state)
{
	if (peek_u32(&engine_link->first_sync) == state)
		return;
	/* Pairs with observe_u32() of the waiting hooks. */
	publish_u32(&engine_link->first_sync, state);
	raw_syscall(SYS_futex, &engine_link->first_sync, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL,
		    0);
}

/* A view once published is never freed: a hook may hold it for as long as its thread is stopped. */
static void publish_view(const struct table_view *view)
{
	/* Pairs with observe_pointer() in the hooks. */
	if (view != peek_pointer(&engine_link->view))
		publish_pointer(&engine_link->view, view);
}

static void run_round(struct pipeline *pipeline)
{
	const struct table_view *view;

	pipeline_run(pipeline, LONGEST_WAIT_MS);
	view = pipeline_view(pipeline);
	if (view) {
		publish_view(view);
		set_first_sync(ENGINE_SYNC_DONE);
	} else if (pipeline_attempted(pipeline)) {
		set_first_sync(ENGINE_SYNC_FAILED);
	}
}

/* Until a mesh's proxy is there, else to the end of the process: nobody joins this thread, and
 * nothing of it runs at exit. */
static void run(struct pipeline *pipeline, const struct logger *logger)
{
	uint64_t checked_ms = 0;

	for (;;) {
		uint64_t now_ms = clock_monotonic_ms();

		if (engine_config->mesh == MESH_AVOID &&
		    (!checked_ms || now_ms - checked_ms >= MESH_CHECK_MS)) {
			const char *mesh = mesh_detect();

			checked_ms = now_ms;
			if (mesh) {
				log_error(logger,
					  "%s's proxy is in this Pod: nothing is balanced "
					  "(K8SLB_MESH=ignore would)",
					  mesh);
				return;
			}
		}
		run_round(pipeline);
	}
}

static void *engine_run(void *unused)
{
	struct pipeline_options options = engine_pipeline_options(engine_config);
	struct pipeline *pipeline = NULL;
	struct logger logger = log_file_logger(engine_config);
	char error[256];
	int rc;

	own_thread = true;
	poke_u32(&engine_tid, (uint32_t)raw_syscall(SYS_gettid));
	guest_thread_name("k8slb");
	guest_thread_yield_priority();
	fork_state_forget();
	rc = guest_thread_own_fd_table();
	if (rc < 0) {
		log_error(&logger,
			  "no sync: neither close_range nor unshare is allowed here: %s; the "
			  "program could close or reuse our descriptors",
			  strerror(-rc));
	} else if (pipeline_new(&options, &logger, &pipeline, error, sizeof(error)) < 0) {
		log_error(&logger, "no sync: %s", error);
	} else {
		log_info(&logger, "syncing from %s",
			 engine_config->api_file[0] ? engine_config->api_file
						    : engine_config->api_url);
		run(pipeline, &logger);
	}
	/* What the thread had stays: a hook may be reading the table. */
	publish_view(NULL);
	set_first_sync(ENGINE_SYNC_FAILED);
	return unused;
}

static int engine_start(const struct config *config, struct engine_link *link)
{
	engine_config = config;
	engine_link = link;
	poke_u32(&engine_tid, 0);
	return guest_thread_start(engine_run, NULL, &engine_thread);
}

static void engine_stop(uint32_t longest_wait_ms)
{
	guest_thread_end(engine_thread, longest_wait_ms);
	publish_view(NULL);
	set_first_sync(ENGINE_SYNC_FAILED);
}

static bool engine_shares_capabilities(void)
{
	uint32_t tid = peek_u32(&engine_tid);

	/* One that has not begun has those of the thread that started it. */
	return !tid || guest_thread_same_capabilities((pid_t)tid);
}

static bool engine_is_own_thread(void)
{
	return own_thread;
}

const struct engine_ops k8slb_engine = {
	.start = engine_start,
	.stop = engine_stop,
	.shares_capabilities = engine_shares_capabilities,
	.is_own_thread = engine_is_own_thread,
	.log_init = log_file_init,
	.log_message = log_file_write,
};
