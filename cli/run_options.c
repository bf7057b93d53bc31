// SPDX-License-Identifier: Apache-2.0
#include "run_options.h"

#include <errno.h>
#include <string.h>

#include "cli.h"

enum {
	OPTION_CONTEXT = CLI_OPTION_LONG,
	OPTION_LIBRARY,
	OPTION_UNCHECKED,
	OPTION_PRE,
};

const struct cli_option run_options[] = {
	{"services", 's', "LIST", NULL, "what to balance, as K8SLB_SERVICES; that is the default"},
	{"namespace", 'n', "NAME", NULL,
	 "of bare names; default: K8SLB_NAMESPACE, else the\ncontext's"},
	{"context", OPTION_CONTEXT, "NAME", NULL, "of the kubeconfig; default: the current one"},
	{"library", OPTION_LIBRARY, "FILE", "FILE",
	 "libk8slb.so; default: beside k8slb, or in ../lib"},
	{"unchecked", OPTION_UNCHECKED, NULL, NULL,
	 "start the program even where nothing can be balanced"},
	{0},
};

const struct cli_option doctor_options[] = {
	{"pre", OPTION_PRE, NULL, NULL, "look at the cluster, before anything is injected"},
	{"quiet", 'q', NULL, NULL, "tell only what is wrong"},
	{"output", 'o', "FORM", "text json", "text or json; default: text"},
	{"services", 's', "LIST", NULL, "in place of K8SLB_SERVICES"},
	{"namespace", 'n', "NAME", NULL, "in place of K8SLB_NAMESPACE"},
	{"context", OPTION_CONTEXT, "NAME", NULL, "of the kubeconfig; default: the current one"},
	{"library", OPTION_LIBRARY, "FILE", "FILE",
	 "libk8slb.so; default: beside k8slb, or in ../lib"},
	{0},
};

bool run_has_setting(const struct config_setting *setting)
{
	return setting != config_setting("K8SLB_SERVICES") &&
	       setting != config_setting("K8SLB_NAMESPACE");
}

static int parse_option(const struct cli_command *command, int option, struct run_options *options)
{
	switch (option) {
	case 's':
		*given_setting(&options->settings, "K8SLB_SERVICES") = optarg;
		return 0;
	case 'n':
		*given_setting(&options->settings, "K8SLB_NAMESPACE") = optarg;
		return 0;
	case OPTION_CONTEXT:
		options->context = optarg;
		return *optarg ? 0
			       : cli_wrong(command->name, "--context", optarg, "the name of a context");
	case OPTION_LIBRARY:
		options->library = optarg;
		return 0;
	case OPTION_UNCHECKED:
		options->unchecked = true;
		return 0;
	case OPTION_PRE:
		options->before = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case 'o':
		return cli_take_form(command, optarg, &options->json);
	case 'h':
		options->help = true;
		return 0;
	case '?':
		return -EINVAL; /* it was said why */
	default:
		options->settings.values[option - CLI_OPTION_SETTING] = optarg;
		return 0;
	}
}

int run_parse(const struct cli_command *command, int argc, char **argv, struct run_options *options)
{
	struct cli_parse parse;
	int option;
	int rc = 0;

	*options = (struct run_options){.settings = {.part = SETTING_OF_PROGRAM}};
	cli_parse_begin(&parse, command, argc, argv);
	while (rc == 0 && !options->help && (option = cli_next_option(&parse)) != -1)
		rc = parse_option(command, option, options);
	if (rc == 0 && optind < argc)
		options->program = argv + optind;
	return rc;
}
