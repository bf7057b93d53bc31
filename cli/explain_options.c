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
	case 'o':
		options->json = strcmp(optarg, "json") == 0;
		return options->json || strcmp(optarg, "text") == 0
			       ? 0
			       : cli_wrong(COMMAND, "--output", optarg, "text or json");
	case 'h':
		options->help = true;
		return 0;
	default:
		return -EINVAL; /* it was said why */
	}
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
		.part = options->from ? SETTING_SAYS_WHAT : SETTING_SAYS_WHERE,
	};

	*given_setting(&given, "K8SLB_NODE") = options->node;
	*given_setting(&given, "K8SLB_ZONE") = options->zone;
	/* The zone of here is not that of another node. */
	if (options->node && !options->zone && here && *here && strcmp(here, options->node) != 0)
		*given_setting(&given, "K8SLB_ZONE") = "";
	return configure(COMMAND, &given, ret_config);
}
