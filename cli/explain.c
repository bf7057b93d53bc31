// SPDX-License-Identifier: Apache-2.0
/*
 * k8slb explain: take the world in (world.h), find out where we are, run the selection that the
 * library runs (lib/select) for each Service asked for, and tell it as text or JSON.
 */
#include "explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "engine/options.h"
#include "explain_options.h"
#include "explain_table.h"
#include "pipeline/location.h"

#define COMMAND "explain"
#define WHERE	"kubectl get services -A lists all of them"

struct explanation {
	struct explain_options options;
	struct config config;
	struct service_ref *refs; /* for the API server; the first is what was asked for */
	unsigned ref_count;
	const struct service_ref *asked; /* refs[0], or NULL for all */
	struct world world;
	struct select_location location;
	struct location own; /* behind @location where it is this Pod's */
	/* How it is known. */
	const char *node_evidence;
	const char *zone_evidence;
};

static int parse_asked(struct explanation *e)
{
	const char *text = e->options.service ? e->options.service : "*/*";
	char reason[256] = "@VIP has no meaning here";

	e->refs = calloc(e->config.service_count + 1, sizeof(*e->refs));
	if (!e->refs)
		return -ENOMEM;
	if (strchr(text, '@') || service_ref_parse(text, strlen(text), e->config.namespace,
						   &e->refs[0], reason, sizeof(reason)) < 0) {
		cli_error(COMMAND, "a Service is [NAMESPACE/]NAME[:PORT]", "\"%s\": %s", text, reason);
		return -EINVAL;
	}
	e->ref_count = 1;
	e->asked = e->options.service ? &e->refs[0] : NULL;
	/* An entry with an @VIP stands in for a Service that may not be read. */
	for (unsigned i = 0; i < e->config.service_count; i++) {
		const struct service_ref *ref = &e->config.services[i];

		if (ref->has_vip && service_ref_covers(&e->refs[0], ref->namespace, ref->name))
			e->refs[e->ref_count++] = *ref;
	}
	return 0;
}

static int take_world_in(struct explanation *e)
{
	const struct config *config = &e->config;
	const char *path = e->options.from;
	struct logger logger = cli_logger(COMMAND);
	struct pipeline_options options = engine_pipeline_options(config);
	char error[1024];
	int rc;

	/* The Services asked for on the command line, seen from wherever --node and --zone say. */
	options.sync.refs = e->refs;
	options.sync.ref_count = e->ref_count;
	if (!path && config->api_file[0])
		path = config->api_file;
	rc = path ? world_read(path, &logger, &e->world, error, sizeof(error))
		  : world_ask(&options, &logger, &e->world, error, sizeof(error));
	if (rc < 0)
		cli_error(COMMAND,
			  path ? "kubectl get services,endpointslices -A -o json writes what is wanted"
			       : "k8slb doctor looks at each part of the way",
			  "%s", error);
	return rc;
}

/* What the library would find out in this Pod. */
static void find_own_location(struct explanation *e)
{
	location_init(&e->own, &e->location);
	for (unsigned i = 0; i < e->world.count; i++)
		location_observe(&e->own, &e->world.services[i]);
	e->location = e->own.where;
	e->node_evidence = e->own.node_evidence;
	e->zone_evidence = e->own.zone_evidence;
}

static void find_location(struct explanation *e)
{
	const struct explain_options *options = &e->options;

	e->location.node = e->config.node;
	e->location.zone = e->config.zone;
	e->node_evidence = e->zone_evidence = "";
	if (!options->from && !options->node && !options->zone) {
		find_own_location(e);
		return;
	}
	/* An empty --zone is an answer: none. */
	if (e->location.node[0] && !e->location.zone[0] && !options->zone) {
		const char *zone = explain_zone_of_node(&e->world, e->location.node);

		if (zone) {
			e->location.zone = zone;
			e->zone_evidence = "all endpoints on this node have it";
		}
	}
}

static bool is_asked_for(const struct explanation *e, const struct service_state *state)
{
	return state->service &&
	       (!e->asked || service_ref_covers(e->asked, state->namespace, state->name));
}

static int tell_service(const struct explanation *e, const struct service_state *state,
			unsigned *told)
{
	struct selection selection;
	struct explained explained = {
		.state = state,
		.selection = &selection,
		.location = &e->location,
	};
	int rc = select_endpoints(state, &e->location, &selection);

	if (rc < 0)
		return rc;
	if (selection.left_out)
		cli_error(COMMAND, "docs/limits.md tells the limits",
			  "%s/%s: too many endpoints for %u of its ports: their connections are "
			  "left to kube-proxy",
			  state->namespace, state->name, selection.left_out);
	explained.ports = calloc((size_t)selection.port_count + 1, sizeof(struct selected_port *));
	rc = explained.ports ? 0 : -ENOMEM;
	if (rc == 0) {
		explained.port_count =
			explain_ports(state->service, &selection, e->asked, explained.ports);
		*told += explained.port_count;
		if (e->options.json)
			explain_json(&explained);
		else if (selection.port_count)
			rc = explain_text(&explained);
		else if (e->asked && strcmp(e->asked->name, "*") != 0)
			explain_text_skipped(state->service);
	}
	free(explained.ports);
	selection_clear(&selection);
	return rc;
}

/* For the message: the ports that there are. */
static void list_ports(const struct service *service, char *text, size_t size)
{
	size_t length = 0;

	snprintf(text, size, "none");
	for (unsigned i = 0; i < service->port_count && length < size; i++) {
		const struct service_port *port = &service->ports[i];

		length += (size_t)snprintf(text + length, size - length, "%s%s%s%u", i ? ", " : "",
					   port->name, port->name[0] ? ":" : "", port->port);
	}
}

/* Says what is missing of what was asked for; 0 when nothing is. */
static int check_asked(const struct explanation *e)
{
	const struct service_ref *asked = e->asked;
	bool found = false;
	bool has_port = false;
	bool wants_port = asked && (asked->port || asked->port_name[0]);
	char ports[256] = "none";

	for (unsigned i = 0; asked && i < e->world.count; i++) {
		const struct service_state *state = &e->world.services[i];

		if (!is_asked_for(e, state))
			continue;
		found = true;
		/* What was made up has the ports of its slices; nobody knows if they are all. */
		has_port |= state->service->made_up || explain_why_skipped(state->service);
		for (unsigned p = 0; p < state->service->port_count; p++)
			has_port |= service_ref_covers_port(asked, state->service->ports[p].name,
							    state->service->ports[p].port);
		list_ports(state->service, ports, sizeof(ports));
	}
	if (!asked || (found && (has_port || !wants_port)))
		return 0;
	if (!found && strcmp(asked->name, "*") == 0)
		cli_error(COMMAND, WHERE, "no Service in namespace %s", asked->namespace);
	else if (!found)
		cli_error(COMMAND, WHERE, "Service %s/%s: not found", asked->namespace, asked->name);
	else if (strcmp(asked->name, "*") == 0)
		cli_error(COMMAND, "leave the port out", "no Service with this port in namespace %s",
			  asked->namespace);
	else
		cli_error(COMMAND, "name one of these, or leave the port out",
			  "Service %s/%s: no such port (it has %s)", asked->namespace, asked->name,
			  ports);
	return -ENOENT;
}

static int tell(const struct explanation *e)
{
	unsigned told = 0;
	int rc = check_asked(e);

	if (rc < 0)
		return rc;
	if (e->options.json)
		explain_json_begin();
	else
		explain_text_begin(&e->location, e->node_evidence, e->zone_evidence);
	for (unsigned i = 0; rc == 0 && i < e->world.count; i++) {
		if (is_asked_for(e, &e->world.services[i]))
			rc = tell_service(e, &e->world.services[i], &told);
	}
	if (rc < 0)
		cli_failed(COMMAND, "the answer", rc);
	else if (e->options.json)
		explain_json_end();
	else if (!told && !e->asked)
		printf("\nno Services\n");
	return rc;
}

static void explanation_clear(struct explanation *e)
{
	world_free(&e->world);
	free(e->refs);
	config_free(&e->config);
}

static int run(int argc, char **argv)
{
	struct explanation e = {0};
	int status = CLI_FAILED;

	if (explain_parse(argc, argv, &e.options) < 0)
		return CLI_USAGE;
	if (e.options.help)
		return cli_help(&explain_command);
	if (explain_settings(&e.options, &e.config) < 0)
		return CLI_FAILED;
	if (parse_asked(&e) < 0) {
		explanation_clear(&e);
		return CLI_USAGE;
	}
	if (explain_is_of_table(&e.options)) {
		status = explain_table(&e.options, e.asked);
	} else if (take_world_in(&e) == 0) {
		find_location(&e);
		if (tell(&e) == 0)
			status = cli_finish_output(COMMAND);
	}
	explanation_clear(&e);
	return status;
}

const struct cli_command explain_command = {
	.name = COMMAND,
	.summary = "which endpoints of a Service are used, and why",
	.run = run,
	.usage = "[OPTION]... [[NAMESPACE/]NAME[:PORT]]",
	.about = "Tell which endpoints of a Service a connection may use, and why: kube-proxy's\n"
		 "rule for a pod on a node; or what a running table has, and what is avoided now.\n"
		 "Without NAME: of all Services. NAME \"*\": of all in the namespace. PORT is a\n"
		 "number or a port name.",
	.options = explain_options,
	.end = "Exit status: 0 done, 1 not found or not readable, 2 wrong command line.",
};
