// SPDX-License-Identifier: Apache-2.0
#include "explain_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "cli.h"
#include "config/values.h"
#include "configure.h"

#define COMMAND "explain"

int explain_help(void)
{
	printf("Usage: k8slb explain [OPTION]... [[NAMESPACE/]NAME[:PORT]]\n"
	       "\n"
	       "Tell which endpoints of a Service a connection may use, and why: kube-proxy's\n"
	       "rule for a pod on a node. Without NAME: of all Services. NAME \"*\": of all in "
	       "the\n"
	       "namespace. PORT is a number or a port name.\n"
	       "\n"
	       "  -f, --from FILE     output of kubectl get services,endpointslices -A -o json,\n"
	       "                      - for standard input; default: ask the API server of\n"
	       "                      K8SLB_API, as the library does\n"
	       "  -n, --node NODE     the node to explain for; default: K8SLB_NODE, else without\n"
	       "                      --from the one that this Pod runs on, as the library\n"
	       "                      finds it\n"
	       "  -z, --zone ZONE     its zone; default: K8SLB_ZONE, else that of the node's\n"
	       "                      endpoints\n"
	       "  -o, --output FORM   text or json; default: text\n"
	       "  -h, --help          this text\n"
	       "\n"
	       "Exit status: 0 done, 1 not found or not readable, 2 wrong command line.\n");
	return cli_finish_output(COMMAND);
}

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
		return -EINVAL; /* getopt_long() said why */
	}
}

int explain_parse(int argc, char **argv, struct explain_options *options)
{
	static const struct option known[] = {
		{"from", required_argument, NULL, 'f'}, {"node", required_argument, NULL, 'n'},
		{"zone", required_argument, NULL, 'z'}, {"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},	{0},
	};
	static char name[] = "k8slb explain";
	int option;
	int rc = 0;

	argv[0] = name;
	optind = 0; /* glibc: start anew, main() has used it */
	while (rc == 0 && !options->help &&
	       (option = getopt_long(argc, argv, "f:n:z:o:h", known, NULL)) != -1)
		rc = parse_option(option, options);
	if (rc < 0 || options->help)
		return rc;
	if (argc - optind > 1) {
		cli_error(COMMAND, "one Service at most, not \"%s\" as well", argv[optind + 1]);
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
