// SPDX-License-Identifier: Apache-2.0
#include "agent_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "cli.h"
#include "config/values.h"
#include "configure.h"
#include "table/handover.h"

#define COMMAND "agent"

/* What is put behind the path while files are made. */
#define LONGEST_SUFFIX (sizeof(".new") - 1)

bool agent_has_setting(const struct config_setting *setting)
{
	return setting->part <= SETTING_SAYS_WHEN && setting->kind != SETTING_SERVICES;
}

static int parse_table(const char *value, struct agent_options *options)
{
	const char *name = strrchr(value, '/');

	options->table = value;
	if (!value_absolute_path(value) || !name[1])
		return cli_wrong(COMMAND, "--table", value, "an absolute path");
	if (strlen(value) + LONGEST_SUFFIX >= HANDOVER_PATH_SIZE)
		return cli_wrong(COMMAND, "--table", value, "at most 103 bytes");
	return 0;
}

static int parse_mode(const char *value, struct agent_options *options)
{
	size_t length = strlen(value);

	if (!length || length > 4 || strspn(value, "01234567") != length ||
	    strtoul(value, NULL, 8) > 0777)
		return cli_wrong(COMMAND, "--mode", value, "an octal number up to 0777");
	options->mode = (unsigned)strtoul(value, NULL, 8);
	return 0;
}

static int parse_log(const char *value, struct agent_options *options)
{
	int choice = value_choice(value, config_setting("K8SLB_LOG")->choices);

	if (choice < 0)
		return cli_wrong(COMMAND, "--log", value, "off, error, info or debug");
	options->log_level = (enum log_level)choice;
	return 0;
}

enum {
	OPTION_ALL = CLI_OPTION_LONG,
	OPTION_LOG,
};

static int parse_option(int option, struct agent_options *options)
{
	switch (option) {
	case 't':
		return parse_table(optarg, options);
	case 's':
		*given_setting(&options->settings, "K8SLB_SERVICES") = optarg;
		return *optarg ? 0 : cli_wrong(COMMAND, "--services", optarg, "a list of Services");
	case OPTION_ALL:
		*given_setting(&options->settings, "K8SLB_SERVICES") = "*/*";
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
		return -EINVAL; /* it was said why */
	default:
		options->settings.values[option - CLI_OPTION_SETTING] = optarg;
		return 0;
	}
}

const struct cli_option agent_options[] = {
	{"table", 't', "PATH", "FILE", "the socket to serve, absolute; PATH.lock lies beside it"},
	{"services", 's', "LIST", NULL, "what to keep, as K8SLB_SERVICES; that is the default"},
	{"all", OPTION_ALL, NULL, NULL,
	 "all Services of all namespaces: the default without it"},
	{"mode", 'm', "MODE", "0600 0660 0666",
	 "rights of the socket, octal; default: 0666, everybody"},
	{"listen", 'l', "WHERE", NULL,
	 "ADDRESS:PORT, [ADDRESS]:PORT or :PORT, for\n/healthz, /livez and /metrics; default: "
	 "none"},
	{"log", OPTION_LOG, "LEVEL", "off error info debug",
	 "off, error, info or debug, to standard error;\ndefault: info"},
	{0},
};

int agent_parse(int argc, char **argv, struct agent_options *options)
{
	struct cli_parse parse;
	int option;
	int rc = 0;

	*options = (struct agent_options){
		.mode = 0666,
		.log_level = LOG_LEVEL_INFO,
		.settings = {.part = SETTING_SAYS_WHEN},
	};
	cli_parse_begin(&parse, &agent_command, argc, argv);
	while (rc == 0 && !options->help && (option = cli_next_option(&parse)) != -1)
		rc = parse_option(option, options);
	if (rc < 0 || options->help)
		return rc;
	if (optind < argc) {
		cli_unexpected(&agent_command, argv[optind]);
		return -EINVAL;
	}
	if (!options->table) {
		cli_error(COMMAND, "name the socket to serve, as /run/k8slb/table",
			  "--table PATH is missing");
		return -EINVAL;
	}
	return 0;
}
