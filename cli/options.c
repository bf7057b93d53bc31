// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"

#define LINE_WIDTH 80

static const struct cli_option help_option = {"help", 'h', NULL, NULL, "this text"};

static bool has_setting(const struct cli_command *command, const struct config_setting *setting)
{
	return command->has_setting && command->has_setting(setting);
}

void cli_parse_begin(struct cli_parse *parse, const struct cli_command *command, int argc,
		     char **argv)
{
	struct option *known = parse->known;
	char *letters = parse->letters;

	parse->command = command;
	parse->argc = argc;
	parse->argv = argv;
	/* "+": what follows the first word is a program's. ":": messages are ours. */
	if (command->takes_program)
		*letters++ = '+';
	*letters++ = ':';
	for (const struct cli_option *option = command->options;; option++) {
		const struct cli_option *one = option->name ? option : &help_option;

		*known++ = (struct option){one->name, one->value ? required_argument : no_argument,
					   NULL, one->letter};
		if (one->letter < CLI_OPTION_LONG) {
			*letters++ = (char)one->letter;
			if (one->value)
				*letters++ = ':';
		}
		if (!option->name)
			break;
	}
	*letters = '\0';
	for (int i = 0; config_settings[i].name; i++) {
		setting_option(&config_settings[i], parse->names[i]);
		if (has_setting(command, &config_settings[i]))
			*known++ = (struct option){parse->names[i], required_argument, NULL,
						   CLI_OPTION_SETTING + i};
	}
	*known = (struct option){0};
	optind = 0; /* glibc: start anew, main() has used it */
	opterr = 0;
}

static const char *help_of(const struct cli_command *command, char text[64])
{
	snprintf(text, 64, "k8slb %s%s--help tells the options", command->name,
		 command->name[0] ? " " : "");
	return text;
}

int cli_next_option(struct cli_parse *parse)
{
	int at = optind ? optind : 1;
	int option = getopt_long(parse->argc, parse->argv, parse->letters, parse->known, NULL);
	const char *name = parse->command->name;
	char remedy[64];

	if (option != '?' && option != ':')
		return option;
	help_of(parse->command, remedy);
	/* A long one is the whole word, a short one may be inside of one. */
	if (strncmp(parse->argv[at], "--", 2) == 0)
		cli_error(name, remedy, option == ':' ? "%s: its value is missing" : "%s: no such option",
			  parse->argv[at]);
	else
		cli_error(name, remedy, option == ':' ? "-%c: its value is missing" : "-%c: no such option",
			  optopt);
	return '?';
}

int cli_take_form(const struct cli_command *command, const char *form, bool *ret_json)
{
	*ret_json = strcmp(form, "json") == 0;
	return *ret_json || strcmp(form, "text") == 0
		       ? 0
		       : cli_wrong(command->name, "--output", form, "text or json");
}

int cli_unexpected(const struct cli_command *command, const char *argument)
{
	char remedy[64];

	cli_error(command->name, help_of(command, remedy), "unexpected argument \"%s\"", argument);
	return CLI_USAGE;
}

/* ---- help ---- */

/* "  -f, --from FILE"; returns its length. */
static int print_left(const struct cli_option *option, char *text, size_t size)
{
	char letter[8] = "    ";

	if (option->letter < CLI_OPTION_LONG)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	return snprintf(text, size, "  %s--%s%s%s", letter, option->name, option->value ? " " : "",
			option->value ? option->value : "");
}

static void print_option(const struct cli_option *option, int width)
{
	char left[64];
	const char *line = option->help;

	print_left(option, left, sizeof(left));
	for (;;) {
		int length = (int)strcspn(line, "\n");

		printf("%-*s  %.*s\n", width, line == option->help ? left : "", length, line);
		if (!line[length])
			return;
		line += length + 1;
	}
}

/* In lines of a screen: all that there are would be more than its height. */
static void print_settings(const struct cli_command *command)
{
	size_t column = LINE_WIDTH;

	printf("\nEach with a value, in place of the setting of its name, --node of K8SLB_NODE\n"
	       "(k8slb settings tells all about them):");
	for (const struct config_setting *setting = config_settings; setting->name; setting++) {
		char option[SETTING_TEXT_SIZE];

		if (!command->has_setting(setting))
			continue;
		setting_option(setting, option);
		if (column + strlen(option) + 4 > LINE_WIDTH)
			column = (size_t)printf("\n ") - 1;
		column += (size_t)printf(" --%s", option);
	}
	printf("\n");
}

int cli_help(const struct cli_command *command)
{
	char left[64];
	int width = print_left(&help_option, left, sizeof(left));

	for (const struct cli_option *option = command->options; option->name; option++) {
		int wanted = print_left(option, left, sizeof(left));

		width = wanted > width ? wanted : width;
	}
	printf("Usage: k8slb %s %s\n\n%s\n\n", command->name, command->usage, command->about);
	for (const struct cli_option *option = command->options; option->name; option++)
		print_option(option, width);
	print_option(&help_option, width);
	if (command->has_setting)
		print_settings(command);
	printf("\n%s\n", command->end);
	return cli_finish_output(command->name);
}
