// SPDX-License-Identifier: Apache-2.0
#include "doctor_options.h"

#include <errno.h>
#include <string.h>

#include "cli.h"

enum {
	OPTION_CONTEXT = CLI_OPTION_LONG,
	OPTION_LIBRARY,
	OPTION_PRE,
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

static int parse_option(int option, struct doctor_options *options)
{
	switch (option) {
	case OPTION_PRE:
		options->before = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case 'o':
		options->json = strcmp(optarg, "json") == 0;
		return options->json || strcmp(optarg, "text") == 0
			       ? 0
			       : cli_wrong("doctor", "--output", optarg, "text or json");
	case 's':
		*given_setting(&options->settings, "K8SLB_SERVICES") = optarg;
		return 0;
	case 'n':
		*given_setting(&options->settings, "K8SLB_NAMESPACE") = optarg;
		return 0;
	case OPTION_CONTEXT:
		options->context = optarg;
		return 0;
	case OPTION_LIBRARY:
		options->library = optarg;
		return 0;
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

int doctor_parse(int argc, char **argv, struct doctor_options *options)
{
	struct cli_parse parse;
	int option;
	int rc = 0;

	*options = (struct doctor_options){.settings = {.part = SETTING_OF_PROGRAM}};
	cli_parse_begin(&parse, &doctor_command, argc, argv);
	while (rc == 0 && !options->help && (option = cli_next_option(&parse)) != -1)
		rc = parse_option(option, options);
	/* The arguments of a program may stand behind it, as they do for k8slb run. */
	if (rc == 0 && optind < argc)
		options->program = argv[optind];
	return rc;
}
