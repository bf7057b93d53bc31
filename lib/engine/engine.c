// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "engine/log_file.h"
#include "engine/options.h"
#include "engine/thread_setup.h"
#include "pipeline/pipeline.h"

/* Nothing is due for so long only when the network is silent; then a round is free. */
#define LONGEST_WAIT_MS (60 * 1000)

/* A forked child starts again with its own link; the parent's thread is not in it. */
static const struct config *engine_config;
static struct engine_link *engine_link;

static __thread bool own_thread;

static void set_first_sync(uint32_t state)
{
	if (peek_u32(&engine_link->first_sync) == state)
		return;
	/* Pairs with observe_u32() of the waiting hooks. */
	publish_u32(&engine_link->first_sync, state);
	syscall(SYS_futex, &engine_link->first_sync, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void *engine_run(void *unused)
{
	struct pipeline_options options;
	struct pipeline *pipeline;
	struct logger logger = log_file_logger(engine_config);
	char error[256];

	own_thread = true;
	guest_thread_name("k8slb");
	options = engine_pipeline_options(engine_config, guest_thread_own_fd_table());
	if (pipeline_new(&options, &logger, &pipeline, error, sizeof(error)) < 0) {
		log_error(&logger, "no sync: %s", error);
		set_first_sync(ENGINE_SYNC_FAILED);
		return unused;
	}
	log_info(&logger, "syncing from %s",
		 engine_config->api_file[0] ? engine_config->api_file : engine_config->api_url);
	/* To the end of the process: nobody joins this thread, and nothing of it runs at exit. */
	for (;;) {
		const struct table_view *view;

		pipeline_run(pipeline, LONGEST_WAIT_MS);
		view = pipeline_view(pipeline);
		if (view) {
			/* Pairs with observe_pointer() in the hooks. */
			if (view != peek_pointer(&engine_link->view))
				publish_pointer(&engine_link->view, view);
			set_first_sync(ENGINE_SYNC_DONE);
		} else if (pipeline_attempted(pipeline)) {
			set_first_sync(ENGINE_SYNC_FAILED);
		}
	}
}

static int engine_start(const struct config *config, struct engine_link *link)
{
	engine_config = config;
	engine_link = link;
	return guest_thread_start(engine_run, NULL);
}

static bool engine_is_own_thread(void)
{
	return own_thread;
}

const struct engine_ops k8slb_engine = {
	.start = engine_start,
	.is_own_thread = engine_is_own_thread,
	.log_message = log_file_write,
};
