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

static int wrong(const char *what, const char *value, const char *expected)
{
	cli_error(COMMAND, "%s \"%s\": expected %s", what, value, expected);
	return -EINVAL;
}

static int parse_place(const char *option, const char *value, size_t longest, const char *expected)
{
	return *value && !value_object_name(value, longest) ? wrong(option, value, expected) : 0;
}

static int parse_option(int option, struct explain_options *options)
{
	switch (option) {
	case 'f':
		options->from = optarg;
		return *optarg ? 0 : wrong("--from", optarg, "a file or -");
	case 'n':
		options->node = optarg;
		return parse_place("--node", optarg, OBJECT_NAME_SIZE - 1, "the name of a Node");
	case 'z':
		options->zone = optarg;
		return parse_place("--zone", optarg, DNS_LABEL_SIZE - 1, "the name of a zone");
	case 'o':
		options->json = strcmp(optarg, "json") == 0;
		return options->json || strcmp(optarg, "text") == 0
			       ? 0
			       : wrong("--output", optarg, "text or json");
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

struct settings_reader {
	const struct explain_options *options;
	bool wrong;
};

/* Whether the answer depends on a setting. What only steers the library in a program is not looked
 * at: nothing of it can be wrong here, and K8SLB_ONLY and K8SLB_SKIP keep it out of programs. */
static bool is_used(const struct explain_options *options, const char *name)
{
	static const char *const always[] = {"K8SLB_SERVICES", "K8SLB_NAMESPACE", "POD_NAMESPACE",
					     "K8SLB_NODE", "K8SLB_ZONE"};
	static const char *const api[] = {"K8SLB_API",
					  "K8SLB_TOKEN_FILE",
					  "K8SLB_CA_FILE",
					  "K8SLB_CERT_FILE",
					  "K8SLB_KEY_FILE",
					  "K8SLB_DISCOVERY",
					  "KUBERNETES_SERVICE_HOST",
					  "KUBERNETES_SERVICE_PORT"};

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
		if (strcmp(name, always[i]) == 0)
			return true;
	}
	for (size_t i = 0; !options->from && i < sizeof(api) / sizeof(api[0]); i++) {
		if (strcmp(name, api[i]) == 0)
			return true;
	}
	return false;
}

/* The environment with the command line before it. */
static const char *get_setting(void *ctx, const char *name)
{
	const struct settings_reader *reader = ctx;
	const struct explain_options *options = reader->options;
	const char *value = getenv(name);
	const char *here = getenv("K8SLB_NODE");

	if (!is_used(options, name))
		return NULL;
	/* config_parse() reads nothing else without it. */
	if (strcmp(name, "K8SLB_SERVICES") == 0)
		return value && *value ? value : "*/*";
	if (strcmp(name, "K8SLB_NODE") == 0 && options->node)
		return options->node;
	if (strcmp(name, "K8SLB_ZONE") == 0) {
		if (options->zone)
			return options->zone;
		/* The zone of here is not that of another node. */
		if (options->node && here && *here && strcmp(here, options->node) != 0)
			return NULL;
	}
	return value;
}

static void report_setting(void *ctx, const char *message)
{
	struct settings_reader *reader = ctx;

	if (!reader->wrong)
		cli_error(COMMAND, "%s", message);
	reader->wrong = true;
}

int explain_settings(const struct explain_options *options, struct config *ret_config)
{
	struct config_source source = config_source_process();
	struct settings_reader reader = {.options = options};
	struct config config;
	int rc;

	source.getenv = get_setting;
	source.ctx = &reader;
	rc = config_parse(&source, report_setting, &reader, &config);
	if (rc < 0) {
		cli_error(COMMAND, "%s", strerror(-rc));
		return rc;
	}
	if (reader.wrong) {
		config_free(&config);
		return -EINVAL;
	}
	*ret_config = config;
	return 0;
}
