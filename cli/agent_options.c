// SPDX-License-Identifier: Apache-2.0
#include "agent_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "cli.h"
#include "config/values.h"
#include "table/handover.h"

#define COMMAND "agent"

/* What is put behind the path while files are made. */
#define LONGEST_SUFFIX (sizeof(".new") - 1)

/* Options that stand for a setting. */
static const struct {
	const char *option;
	const char *setting;
} stand_ins[AGENT_SETTINGS] = {
	{"services", "K8SLB_SERVICES"},
	{"api", "K8SLB_API"},
	{"token-file", "K8SLB_TOKEN_FILE"},
	{"ca-file", "K8SLB_CA_FILE"},
	{"cert-file", "K8SLB_CERT_FILE"},
	{"key-file", "K8SLB_KEY_FILE"},
	{"namespace", "K8SLB_NAMESPACE"},
	{"node", "K8SLB_NODE"},
	{"zone", "K8SLB_ZONE"},
};

/* These too mean something here. What steers the library in a program does not. */
static const char *const other_settings[] = {
	"POD_NAMESPACE", "K8SLB_DISCOVERY",	    "K8SLB_SYNC_INTERVAL",     "K8SLB_RETRY_DELAY",
	"K8SLB_MAX_AGE", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
};

int agent_help(void)
{
	printf("Usage: k8slb agent --table PATH [OPTION]...\n"
	       "\n"
	       "Keep a table for the programs of a Pod or of a node, which find it by\n"
	       "K8SLB_TABLE=PATH: they start no thread and ask the API server nothing.\n"
	       "\n"
	       "  -t, --table PATH      the socket to serve, absolute; PATH.lock and\n"
	       "                        PATH.journal lie beside it, and a restarted agent goes\n"
	       "                        on from the journal\n"
	       "  -s, --services LIST   what to keep, as K8SLB_SERVICES; that is the default\n"
	       "      --all             all Services of all namespaces: the default without it\n"
	       "  -m, --mode MODE       rights of the socket, octal; default: 0666, everybody\n"
	       "  -l, --listen WHERE    ADDRESS:PORT, [ADDRESS]:PORT or :PORT, for\n"
	       "                        /healthz, /livez and /metrics; default: none\n"
	       "      --log LEVEL       off, error, info or debug, to standard error;\n"
	       "                        default: info\n"
	       "      --api URL, --token-file FILE, --ca-file FILE, --cert-file FILE,\n"
	       "      --key-file FILE, --namespace NAME, --node NAME, --zone NAME\n"
	       "                        in place of K8SLB_API, K8SLB_TOKEN_FILE and so on\n"
	       "  -h, --help            this text\n"
	       "\n"
	       "SIGTERM and SIGINT end it. With NOTIFY_SOCKET it tells when it is ready.\n"
	       "\n"
	       "Exit status: 0 ended by a signal, 1 the table cannot be served, 2 wrong command\n"
	       "line or setting.\n");
	return cli_finish_output(COMMAND);
}

static int wrong(const char *what, const char *value, const char *expected)
{
	cli_error(COMMAND, "%s \"%s\": expected %s", what, value, expected);
	return -EINVAL;
}

static int parse_table(const char *value, struct agent_options *options)
{
	const char *name = strrchr(value, '/');

	options->table = value;
	if (!value_absolute_path(value) || !name[1])
		return wrong("--table", value, "an absolute path");
	if (strlen(value) + LONGEST_SUFFIX >= HANDOVER_PATH_SIZE)
		return wrong("--table", value, "at most 103 bytes");
	return 0;
}

static int parse_mode(const char *value, struct agent_options *options)
{
	size_t length = strlen(value);

	if (!length || length > 4 || strspn(value, "01234567") != length ||
	    strtoul(value, NULL, 8) > 0777)
		return wrong("--mode", value, "an octal number up to 0777");
	options->mode = (unsigned)strtoul(value, NULL, 8);
	return 0;
}

static int parse_log(const char *value, struct agent_options *options)
{
	static const char *const names[] = {"off", "error", "info", "debug", NULL};
	int choice = value_choice(value, names);

	if (choice < 0)
		return wrong("--log", value, "off, error, info or debug");
	/* The names stand in the order of enum log_level. */
	options->log_level = (enum log_level)choice;
	return 0;
}

enum {
	OPTION_ALL = 256,
	OPTION_LOG,
	OPTION_SETTING, /* and those after it */
};

static int parse_option(int option, struct agent_options *options)
{
	switch (option) {
	case 't':
		return parse_table(optarg, options);
	case 's':
		options->settings[0] = optarg;
		return *optarg ? 0 : wrong("--services", optarg, "a list of Services");
	case OPTION_ALL:
		options->settings[0] = "*/*";
		return 0;
	case 'm':
		return parse_mode(optarg, options);
	case 'l':
		options->listen = optarg;
		return 0;
	case OPTION_LOG:
		return parse_log(optarg, options);
	case 'h':
		options->help = true;
		return 0;
	case '?':
		return -EINVAL; /* getopt_long() said why */
	default:
		options->settings[option - OPTION_SETTING] = optarg;
		return 0;
	}
}

int agent_parse(int argc, char **argv, struct agent_options *options)
{
	static const struct option known[] = {
		{"table", required_argument, NULL, 't'},
		{"services", required_argument, NULL, 's'},
		{"all", no_argument, NULL, OPTION_ALL},
		{"mode", required_argument, NULL, 'm'},
		{"listen", required_argument, NULL, 'l'},
		{"log", required_argument, NULL, OPTION_LOG},
		{"api", required_argument, NULL, OPTION_SETTING + 1},
		{"token-file", required_argument, NULL, OPTION_SETTING + 2},
		{"ca-file", required_argument, NULL, OPTION_SETTING + 3},
		{"cert-file", required_argument, NULL, OPTION_SETTING + 4},
		{"key-file", required_argument, NULL, OPTION_SETTING + 5},
		{"namespace", required_argument, NULL, OPTION_SETTING + 6},
		{"node", required_argument, NULL, OPTION_SETTING + 7},
		{"zone", required_argument, NULL, OPTION_SETTING + 8},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	static char name[] = "k8slb agent";
	int option;
	int rc = 0;

	*options = (struct agent_options){.mode = 0666, .log_level = LOG_LEVEL_INFO};
	argv[0] = name;
	optind = 0; /* glibc: start anew, main() has used it */
	while (rc == 0 && !options->help &&
	       (option = getopt_long(argc, argv, "t:s:m:l:h", known, NULL)) != -1)
		rc = parse_option(option, options);
	if (rc < 0 || options->help)
		return rc;
	if (optind < argc) {
		cli_error(COMMAND, "unexpected argument \"%s\"", argv[optind]);
		return -EINVAL;
	}
	if (!options->table) {
		cli_error(COMMAND, "--table PATH is missing");
		return -EINVAL;
	}
	return 0;
}

struct settings_reader {
	const struct agent_options *options;
	bool wrong;
};

static const char *get_setting(void *ctx, const char *name)
{
	const struct settings_reader *reader = ctx;
	const char *value = getenv(name);

	for (size_t i = 0; i < AGENT_SETTINGS; i++) {
		if (strcmp(name, stand_ins[i].setting) != 0)
			continue;
		if (reader->options->settings[i])
			return reader->options->settings[i];
		/* Without --services and K8SLB_SERVICES: all. */
		return i > 0 || (value && *value) ? value : "*/*";
	}
	for (size_t i = 0; i < sizeof(other_settings) / sizeof(other_settings[0]); i++) {
		if (strcmp(name, other_settings[i]) == 0)
			return value;
	}
	return NULL;
}

static void report_setting(void *ctx, const char *message)
{
	struct settings_reader *reader = ctx;

	cli_error(COMMAND, "%s", message);
	reader->wrong = true;
}

int agent_settings(const struct agent_options *options, struct config *ret_config)
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
