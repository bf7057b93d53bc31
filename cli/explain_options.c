// SPDX-License-Identifier: Apache-2.0
#include "explain_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "cli.h"
#include "config/values.h"
#include "configure.h"

#define COMMAND "explain"

static int parse_location(const char *option, const char *value, size_t longest,
			  const char *expected)
{
	return *value && !value_object_name(value, longest)
		       ? cli_wrong(COMMAND, option, value, expected)
		       : 0;
}

static int parse_option(int option, struct explain_options *options)
{
	char *end;

	switch (option) {
	case 'f':
		options->from = optarg;
		return *optarg ? 0 : cli_wrong(COMMAND, "--from", optarg, "a file or -");
	case 'n':
		options->node = optarg;
		return parse_location("--node", optarg, OBJECT_NAME_SIZE - 1, "the name of a Node");
	case 'z':
		options->zone = optarg;
		return parse_location("--zone", optarg, DNS_LABEL_SIZE - 1, "the name of a zone");
	case 'r':
		options->running = true;
		return 0;
	case 'p':
		options->pid = strtol(optarg, &end, 10);
		return *end || options->pid <= 0
			       ? cli_wrong(COMMAND, "--pid", optarg, "the number of a process")
			       : 0;
	case 't':
		options->table = optarg;
		return value_absolute_path(optarg)
			       ? 0
			       : cli_wrong(COMMAND, "--table", optarg, "an absolute path");
	case 'w':
		options->watch = true;
		return 0;
	case 'o':
		return cli_take_form(&explain_command, optarg, &options->json);
	case 'h':
		options->help = true;
		return 0;
	default:
		return -EINVAL; /* it was said why */
	}
}

bool explain_is_of_table(const struct explain_options *options)
{
	return options->running || options->pid || options->table;
}

static int check_one_source(const struct explain_options *options)
{
	int sources = options->running + (options->pid != 0) + (options->table != NULL) +
		      (options->from || options->node || options->zone);

	if (sources > 1) {
		cli_error(COMMAND, "name one of them",
			  "--running, --pid, --table and the selection of --from, --node and --zone "
			  "are different answers");
		return -EINVAL;
	}
	if (options->watch && !explain_is_of_table(options)) {
		cli_error(COMMAND, "add --running, --pid PID or --table PATH",
			  "--watch is for a running table");
		return -EINVAL;
	}
	return 0;
}

const struct cli_option explain_options[] = {
	{"from", 'f', "FILE", "FILE",
	 "output of kubectl get services,endpointslices -A -o json,\n"
	 "- for standard input; default: ask the API server of\nK8SLB_API, as the library does"},
	{"node", 'n', "NODE", NULL,
	 "the node to explain for; default: K8SLB_NODE, else without\n"
	 "--from the one that this Pod runs on, as the library\nfinds it"},
	{"zone", 'z', "ZONE", NULL,
	 "its zone; default: K8SLB_ZONE, else that of the node's\nendpoints"},
	{"running", 'r', NULL, NULL, "the table that programs of this user share now, with what\nthey avoid"},
	{"pid", 'p', "PID", NULL, "the table of this process"},
	{"table", 't', "PATH", "FILE", "the table of the agent that serves this socket"},
	{"watch", 'w', NULL, NULL, "tell a running table again whenever it changes"},
	{"output", 'o', "FORM", "text json", "text or json; default: text"},
	{0},
};

int explain_parse(int argc, char **argv, struct explain_options *options)
{
	struct cli_parse parse;
	int option;
	int rc = 0;

	cli_parse_begin(&parse, &explain_command, argc, argv);
	while (rc == 0 && !options->help && (option = cli_next_option(&parse)) != -1)
		rc = parse_option(option, options);
	if (rc < 0 || options->help)
		return rc;
	rc = check_one_source(options);
	if (rc < 0)
		return rc;
	if (argc - optind > 1) {
		cli_error(COMMAND, "ask for each by itself, or for NAMESPACE/*",
			  "one Service at most, not \"%s\" as well", argv[optind + 1]);
		return -EINVAL;
	}
	if (optind < argc)
		options->service = argv[optind];
	return 0;
}

int explain_settings(const struct explain_options *options, struct config *ret_config)
{
	const char *here = getenv("K8SLB_NODE");
	struct given_settings given = {
		.part = options->from || explain_is_of_table(options) ? SETTING_SAYS_WHAT
								      : SETTING_SAYS_WHERE,
	};

	*given_setting(&given, "K8SLB_NODE") = options->node;
	*given_setting(&given, "K8SLB_ZONE") = options->zone;
	/* The zone of here is not that of another node. */
	if (options->node && !options->zone && here && *here && strcmp(here, options->node) != 0)
		*given_setting(&given, "K8SLB_ZONE") = "";
	return configure(COMMAND, &given, ret_config);
}
