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
#include "configure.h"
#include "table/handover.h"

#define COMMAND "agent"

/* What is put behind the path while files are made. */
#define LONGEST_SUFFIX (sizeof(".new") - 1)

/* The settings that have an option of their name and no meaning besides; --services has. */
static bool has_option(const struct config_setting *setting)
{
	return setting->part <= SETTING_SAYS_WHEN && setting->kind != SETTING_SERVICES;
}

int agent_help(void)
{
	printf("Usage: k8slb agent --table PATH [OPTION]...\n"
	       "\n"
	       "Keep a table for the programs of a Pod or of a node, which find it by\n"
	       "K8SLB_TABLE=PATH: they start no thread and ask the API server nothing.\n"
	       "\n"
	       "  -t, --table PATH      the socket to serve, absolute; PATH.lock lies beside it\n"
	       "  -s, --services LIST   what to keep, as K8SLB_SERVICES; that is the default\n"
	       "      --all             all Services of all namespaces: the default without it\n"
	       "  -m, --mode MODE       rights of the socket, octal; default: 0666, everybody\n"
	       "  -l, --listen WHERE    ADDRESS:PORT, [ADDRESS]:PORT or :PORT, for\n"
	       "                        /healthz, /livez and /metrics; default: none\n"
	       "      --log LEVEL       off, error, info or debug, to standard error;\n"
	       "                        default: info\n"
	       "  -h, --help            this text\n"
	       "\n"
	       "In place of settings (k8slb settings tells all about them):\n");
	for (const struct config_setting *setting = config_settings; setting->name; setting++) {
		char option[SETTING_TEXT_SIZE];

		setting_option(setting, option);
		if (has_option(setting))
			printf("      --%s VALUE%*s%s\n", option, 14 - (int)strlen(option), "",
			       setting->name);
	}
	printf("\n"
	       "SIGTERM and SIGINT end it. With NOTIFY_SOCKET it tells when it is ready.\n"
	       "\n"
	       "Exit status: 0 ended by a signal, 1 the table cannot be served, 2 wrong command\n"
	       "line or setting.\n");
	return cli_finish_output(COMMAND);
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
		return -EINVAL; /* getopt_long() said why */
	default:
		options->settings.values[option - OPTION_SETTING] = optarg;
		return 0;
	}
}

static const struct option own_options[] = {
	{"table", required_argument, NULL, 't'},  {"services", required_argument, NULL, 's'},
	{"all", no_argument, NULL, OPTION_ALL},	  {"mode", required_argument, NULL, 'm'},
	{"listen", required_argument, NULL, 'l'}, {"log", required_argument, NULL, OPTION_LOG},
	{"help", no_argument, NULL, 'h'},
};

#define OWN_OPTIONS (sizeof(own_options) / sizeof(own_options[0]))

/* Puts those of settings behind our own; @names keeps their names. */
static void list_options(struct option *known, char (*names)[SETTING_TEXT_SIZE])
{
	memcpy(known, own_options, sizeof(own_options));
	known += OWN_OPTIONS;
	for (unsigned i = 0; config_settings[i].name; i++) {
		setting_option(&config_settings[i], names[i]);
		if (has_option(&config_settings[i]))
			*known++ = (struct option){names[i], required_argument, NULL,
						   OPTION_SETTING + (int)i};
	}
	*known = (struct option){0};
}

int agent_parse(int argc, char **argv, struct agent_options *options)
{
	struct option known[OWN_OPTIONS + SETTINGS_MAX + 1];
	char names[SETTINGS_MAX][SETTING_TEXT_SIZE];
	static char name[] = "k8slb agent";
	int option;
	int rc = 0;

	list_options(known, names);
	*options = (struct agent_options){
		.mode = 0666,
		.log_level = LOG_LEVEL_INFO,
		.settings = {.part = SETTING_SAYS_WHEN},
	};
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
