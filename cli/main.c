// SPDX-License-Identifier: Apache-2.0
/* The k8slb command: options of its own, then a command with its options. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

const struct cli_command *const cli_commands[] = {
	&agent_command,
	&bundle_command,
	&completion_command,
	&copy_command,
	&doctor_command,
	&explain_command,
	&run_command,
	&settings_command,
	NULL,
};

#define LIST "k8slb --help lists them"

static int print_help(void)
{
	printf("Usage: k8slb COMMAND [OPTION]... [ARGUMENT]...\n"
	       "\n"
	       "Commands:\n");
	for (size_t i = 0; cli_commands[i]; i++)
		printf("  %-10s  %s\n", cli_commands[i]->name, cli_commands[i]->summary);
	printf("\n"
	       "Options:\n"
	       "  -h, --help     this text, as k8slb help; k8slb COMMAND --help for a command\n"
	       "  -V, --version  the version\n");
	return cli_finish_output("");
}

static int print_version(void)
{
	printf("k8slb %s\n", K8SLB_VERSION);
	return cli_finish_output("");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};

	opterr = 0; /* the message is ours */
	/* "+": the options behind a command are the command's. */
	switch (getopt_long(argc, argv, "+hV", options, NULL)) {
	case 'h':
		return print_help();
	case 'V':
		return print_version();
	case -1:
		break;
	default:
		cli_error("", "k8slb --help tells the options", "%s: no such option",
			  argv[optind > 1 ? optind - 1 : 1]);
		return CLI_USAGE;
	}
	if (optind >= argc) {
		cli_error("", LIST, "a command is missing");
		return CLI_USAGE;
	}
	if (strcmp(argv[optind], "help") == 0)
		return print_help();
	for (size_t i = 0; cli_commands[i]; i++) {
		if (strcmp(argv[optind], cli_commands[i]->name) == 0)
			return cli_commands[i]->run(argc - optind, argv + optind);
	}
	cli_error("", LIST, "unknown command \"%s\"", argv[optind]);
	return CLI_USAGE;
}
