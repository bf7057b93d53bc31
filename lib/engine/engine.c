// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <linux/futex.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/raw_syscall.h"
#include "engine/fork_state.h"
#include "engine/log_file.h"
#include "engine/mesh.h"
#include "engine/role.h"
#include "engine/thread_setup.h"

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

static void show_table(const struct table_view *view)
{
	publish_view(view);
	set_first_sync(ENGINE_SYNC_DONE);
}

static void no_table_yet(void)
{
	set_first_sync(ENGINE_SYNC_FAILED);
}

/*
 * Here and not in the hook that needs them first: a program may have put its threads behind a
 * filter of system calls by then, and a thread may be cancelled there. A forked child has its
 * parent's.
 */
static void attach_hints(void)
{
	struct hints *hints;

	poke_u64(&engine_link->client, affinity_client());
	if (!peek_pointer(&engine_link->hints) && hints_attach(&hints) == 0)
		publish_pointer(&engine_link->hints, hints); /* observed in shim/process.c */
}

static void *engine_run(void *unused)
{
	static const struct role_sink sink = {.publish_view = show_table,
					      .no_table_yet = no_table_yet};
	struct logger logger = log_file_logger(engine_config);
	int rc;

	own_thread = true;
	poke_u32(&engine_tid, (uint32_t)raw_syscall(SYS_gettid));
	guest_thread_name("k8slb");
	guest_thread_yield_priority();
	fork_state_forget();
	attach_hints();
	rc = guest_thread_own_fd_table();
	if (rc < 0)
		log_error(&logger,
			  "no sync: neither close_range nor unshare is allowed here: %s; the "
			  "program could close or reuse our descriptors",
			  strerror(-rc));
	else
		role_run(engine_config, &logger, &sink);
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

static bool engine_stays_out(const struct config *config)
{
	const char *mesh = config->mesh == MESH_AVOID ? mesh_detect() : NULL;
	char line[128];

	if (!mesh)
		return false;
	snprintf(line, sizeof(line), MESH_MESSAGE, mesh);
	log_file_write(config, LOG_LEVEL_ERROR, line);
	return true;
}

const struct engine_ops k8slb_engine = {
	.start = engine_start,
	.stop = engine_stop,
	.shares_capabilities = engine_shares_capabilities,
	.is_own_thread = engine_is_own_thread,
	.stays_out = engine_stays_out,
	.log_init = log_file_init,
	.log_message = log_file_write,
};
