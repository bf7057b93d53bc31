// SPDX-License-Identifier: Apache-2.0
/*
 * k8slb agent: the pipeline that a program under the library has in its thread, in a process of its
 * own, with the table in a file that programs of other users and Pods may map (table/handover.h).
 */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_options.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "cli.h"
#include "configure.h"
#include "engine/options.h"
#include "notify.h"
#include "publish/handover_region.h"

#define COMMAND "agent"

struct agent {
	struct agent_options options;
	struct config config;
	struct logger logger;
	struct agent_socket socket;
	struct agent_status status;
	struct agent_table *tables; /* newest first */
	struct agent_server server;
	struct pipeline *pipeline;
	bool serving;
	bool told_ready;
	bool told_live;
};

/* pipeline_options.new_region */
static int new_table(void *ctx, size_t arena_size, struct region *ret_region)
{
	struct agent *agent = ctx;
	struct agent_table *table = calloc(1, sizeof(*table));
	int rc;

	if (!table)
		return -ENOMEM;
	rc = handover_region_new(arena_size, ret_region, &table->fd);
	if (rc < 0) {
		free(table);
		return rc;
	}
	table->header = ret_region->view.header;
	table->writable = ret_region->writable;
	table->older = agent->tables;
	publish_pointer(&agent->tables, table); /* observed by table_to_give() */
	return 0;
}

/* The header of what readers have, to write; NULL: nothing is published yet. */
static struct table_header *published_header(const struct agent *agent)
{
	const struct table_view *view = pipeline_view(agent->pipeline);

	for (const struct agent_table *table = agent->tables; view && table; table = table->older) {
		if (table->header == view->header)
			return (struct table_header *)(void *)table->writable;
	}
	return NULL;
}

static void tell_status(struct agent *agent)
{
	struct agent_status *status = &agent->status;
	struct pipeline_state state = pipeline_state(agent->pipeline);

	poke_u64(&status->generation, state.generation);
	poke_u64(&status->services, state.services);
	poke_u64(&status->ports, state.ports);
	poke_u64(&status->endpoints, state.endpoints);
	poke_u64(&status->bytes, state.bytes);
	poke_u64(&status->publishes, state.publishes);
	poke_u64(&status->unheard_ms, state.unheard_ms);
	poke_u64(&status->live, state.live);
	poke_u64(&status->left_out, state.left_out);
	poke_u64(&status->publish_failure, (uint64_t)-state.publish_failure);
	poke_u64(&status->publish_failures, state.publish_failures);
	poke_u64(&status->requests, state.requests);
	poke_u64(&status->errors, state.errors);
	poke_u64(&status->round_ms, clock_monotonic_ms());
}

/* What cannot be told now is told in the next round: a READY that is lost would cost the service's
 * start. */
static void tell_manager(struct agent *agent)
{
	const struct agent_status *status = &agent->status;
	const char *prefix = agent->told_ready ? "" : "READY=1\n";
	const char *problem = pipeline_problem(agent->pipeline);
	char text[512];

	if (agent->told_ready && agent->told_live == (bool)status->live)
		return;

	snprintf(text, sizeof(text), "%sSTATUS=%llu Services, %llu endpoints; %s%s%s", prefix,
		 (unsigned long long)status->services, (unsigned long long)status->endpoints,
		 status->live ? "in sync" : "not in sync", status->live || !problem[0] ? "" : ": ",
		 status->live ? "" : problem);
	/* What a server said must not be a line of its own. */
	for (char *c = text + strlen(prefix); *c; c++) {
		if ((unsigned char)*c < ' ')
			*c = '?';
	}
	if (notify_manager(text) == -EAGAIN)
		return;
	agent->told_ready = true;
	agent->told_live = status->live;
}

/* The first table is there: readers may come. Or somebody has removed the socket. */
static int serve(struct agent *agent)
{
	int listener = agent_socket_listen(&agent->socket, agent->options.mode);

	if (listener < 0)
		return listener;
	agent_server_open(&agent->server, listener);
	agent->serving = true;
	log_info(&agent->logger, "serves %s: %llu Services, %llu endpoints", agent->socket.path,
		 (unsigned long long)agent->status.services,
		 (unsigned long long)agent->status.endpoints);
	if (!agent_socket_is_ours_alone(&agent->socket))
		log_info(&agent->logger, "others may replace it: readers need K8SLB_TABLE_UID=%u",
			 (unsigned)geteuid());
	return 0;
}

static int run_rounds(struct agent *agent)
{
	while (!observe_u32(&agent->server.stop)) { /* published by take_signal() */
		pipeline_run(agent->pipeline, AGENT_ROUND_MS);
		tell_status(agent);
		if (agent->serving ? !agent_socket_is_there(&agent->socket)
				   : agent->status.publishes > 0) {
			int rc = serve(agent);

			if (rc < 0)
				return rc;
		}
		if (agent->serving)
			tell_manager(agent);
	}
	return 0;
}

/* Readers keep the table and look for the next agent at once. */
static void leave(struct agent *agent)
{
	struct table_header *header = published_header(agent);

	notify_manager("STOPPING=1\nSTATUS=ends");
	if (agent->serving)
		agent_socket_leave(&agent->socket);
	if (header) {
		publish_u32(&header->state, TABLE_UNHEARD); /* pairs with table_is_live() */
		publish_u64(&header->beat_ms, 0);	    /* pairs with table_silence_ms() */
	}
}

/* In the server's thread, while the sync hangs: it has nothing that would have to be put in order.
 */
static void end_at_once(void *ctx)
{
	leave(ctx);
	_exit(CLI_DONE);
}

static int sync_and_serve(struct agent *agent)
{
	struct pipeline_options options = engine_pipeline_options(&agent->config);
	char error[1024];
	int rc;

	options.new_region = new_table;
	options.new_region_ctx = agent;
	rc = pipeline_new(&options, &agent->logger, &agent->pipeline, error, sizeof(error));
	if (rc < 0) {
		cli_error(COMMAND, "k8slb doctor looks at each part of the way", "%s", error);
		return rc;
	}
	log_info(&agent->logger, "syncs from %s",
		 agent->config.api_file[0] ? agent->config.api_file : agent->config.api_url);
	agent->server.pipeline = agent->pipeline;
	agent->server.end = end_at_once;
	agent->server.end_ctx = agent;
	rc = agent_server_start(&agent->server);
	if (rc < 0)
		cli_failed(COMMAND, "no thread", rc);
	else
		rc = run_rounds(agent);
	leave(agent);
	return rc;
}

static int run(int argc, char **argv)
{
	static struct agent agent; /* the server's thread reads it to the end of the process */
	int rc;

	if (agent_parse(argc, argv, &agent.options) < 0)
		return CLI_USAGE;
	if (agent.options.help)
		return cli_help(&agent_command);
	if (configure(COMMAND, &agent.options.settings, &agent.config) < 0)
		return CLI_USAGE;
	agent.logger = cli_logger(COMMAND);
	agent.logger.level = agent.options.log_level;
	agent.status.max_age_s = agent.config.max_age_s;
	agent.status.round_ms = clock_monotonic_ms();
	agent.server.status = &agent.status;
	agent.server.tables = &agent.tables;
	agent.server.logger = agent.logger;
	rc = agent_server_init(&agent.server, agent.options.listen);
	if (rc == -EINVAL)
		return CLI_USAGE;
	if (rc == 0)
		rc = agent_socket_take(agent.options.table, &agent.socket);
	if (rc == 0)
		rc = sync_and_serve(&agent);
	return rc < 0 ? CLI_FAILED : CLI_DONE;
}

const struct cli_command agent_command = {
	.name = COMMAND,
	.summary = "keep a table for the programs of a Pod or a node",
	.run = run,
	.usage = "--table PATH [OPTION]...",
	.about = "Keep a table for the programs of a Pod or of a node, which find it by\n"
		 "K8SLB_TABLE=PATH: they start no thread and ask the API server nothing.",
	.options = agent_options,
	.has_setting = agent_has_setting,
	.end = "SIGTERM and SIGINT end it. With NOTIFY_SOCKET it tells when it is ready.\n"
	       "\n"
	       "Exit status: 0 ended by a signal, 1 the table cannot be served, 2 wrong command\n"
	       "line or setting.",
};
