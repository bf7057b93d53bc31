/* The options of a command: parsing, help and completion come from one table of them. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_OPTIONS_H
#define K8SLB_CLI_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>

#include "config/settings.h"

struct cli_option {
	const char *name;
	int letter;	   /* what cli_next_option() returns; above 255: it has no short form */
	const char *value; /* what the help calls its value; NULL: it has none */
	const char *words; /* for completion: all that there are, by spaces; "FILE", "DIR": one of
			      those; NULL: not known */
	const char *help;  /* lines */
};

/* What cli_next_option() returns for an option of a setting: this and its place in the table. */
#define CLI_OPTION_SETTING 1024
/* For options without a short form. */
#define CLI_OPTION_LONG 256

struct cli_command {
	const char *name;
	const char *summary; /* a few words, for k8slb help */
	int (*run)(int argc, char **argv); /* argv[0] is the name; returns an exit status */
	const char *usage;		   /* what follows the name; lines */
	const char *about;		   /* lines */
	const struct cli_option *options;  /* ends with a NULL name; has no "help" */
	/* Which settings have an option of their name; NULL: none. */
	bool (*has_setting)(const struct config_setting *setting);
	const char *end;    /* lines: the exit status and the like */
	const char *words;  /* for completion: what its argument may be, by spaces; NULL: not known */
	bool takes_program; /* what follows is a program's: options end at the first word */
};

/* More than any command has of its own. */
#define CLI_OPTIONS_MAX 24

/* One command line that is being read. All of it is the functions'. */
struct cli_parse {
	const struct cli_command *command;
	int argc;
	char **argv;
	struct option known[CLI_OPTIONS_MAX + SETTINGS_MAX + 2];
	char names[SETTINGS_MAX][SETTING_TEXT_SIZE];
	char letters[3 * CLI_OPTIONS_MAX];
};

void cli_parse_begin(struct cli_parse *parse, const struct cli_command *command, int argc,
		     char **argv);

/*
 * The letter of the next option, with its value in optarg; 'h' for --help; CLI_OPTION_SETTING and
 * more; '?' after a message; -1 at the end, where optind is the first of the arguments.
 */
int cli_next_option(struct cli_parse *parse);

/* Prints the help of a command. Returns an exit status. */
int cli_help(const struct cli_command *command);

/* Takes the value of --output: text or json. Returns 0, or -EINVAL after a message. */
int cli_take_form(const struct cli_command *command, const char *form, bool *ret_json);

/* Says that an argument is too many. Returns CLI_USAGE. */
int cli_unexpected(const struct cli_command *command, const char *argument);

#endif
