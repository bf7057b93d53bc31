// SPDX-License-Identifier: Apache-2.0
/* k8slb settings: the table of the library's settings, and what of the environment is wrong. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "configure.h"

#define COMMAND "settings"

static int print_help(void)
{
	printf("Usage: k8slb settings [OPTION]...\n"
	       "\n"
	       "Tell the environment variables of the library, what each may be, its default\n"
	       "and its meaning.\n"
	       "\n"
	       "  -c, --check         tell only what is wrong in this environment\n"
	       "  -o, --output FORM   text or markdown; default: text\n"
	       "  -h, --help          this text\n"
	       "\n"
	       "Exit status: 0 done, nothing is wrong; 1 a setting is wrong or the output cannot\n"
	       "be written; 2 wrong command line.\n");
	return cli_finish_output(COMMAND);
}

static void print_text(void)
{
	for (const struct config_setting *setting = config_settings; setting->name; setting++) {
		char expected[SETTING_TEXT_SIZE];
		char otherwise[SETTING_TEXT_SIZE];
		char meaning[SETTING_TEXT_SIZE];

		setting_expected(setting, expected);
		setting_default(setting, otherwise);
		snprintf(meaning, sizeof(meaning), "%s", setting->meaning);
		setting_plain(expected);
		setting_plain(otherwise);
		setting_plain(meaning);
		printf("%s%s\n    %s\n    %s\n    default: %s\n",
		       setting == config_settings ? "" : "\n", setting->name, meaning, expected,
		       otherwise);
	}
}

static void print_markdown(void)
{
	printf("| variable | meaning | value | default |\n|---|---|---|---|\n");
	for (const struct config_setting *setting = config_settings; setting->name; setting++) {
		char expected[SETTING_TEXT_SIZE];
		char otherwise[SETTING_TEXT_SIZE];

		setting_expected(setting, expected);
		setting_default(setting, otherwise);
		printf("| `%s` | %s | %s | %s |\n", setting->name, setting->meaning, expected,
		       otherwise);
	}
}

static int check(void)
{
	static const struct given_settings given = {.part = SETTING_OF_PROGRAM};
	struct config config;

	if (configure(COMMAND, &given, &config) < 0)
		return CLI_FAILED;
	config_free(&config);
	return CLI_DONE;
}

int settings_command(int argc, char **argv)
{
	static const struct option known[] = {
		{"check", no_argument, NULL, 'c'},
		{"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	static char name[] = "k8slb settings";
	void (*print)(void) = print_text;
	bool only_check = false;
	int option;

	argv[0] = name;
	optind = 0; /* glibc: start anew, main() has used it */
	while ((option = getopt_long(argc, argv, "co:h", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			only_check = true;
			break;
		case 'o':
			print = strcmp(optarg, "markdown") == 0 ? print_markdown : print_text;
			if (print == print_markdown || strcmp(optarg, "text") == 0)
				break;
			cli_wrong(COMMAND, "--output", optarg, "text or markdown");
			return CLI_USAGE;
		case 'h':
			return print_help();
		default:
			return CLI_USAGE; /* getopt_long() said why */
		}
	}
	if (optind < argc) {
		cli_error(COMMAND, "unexpected argument \"%s\"", argv[optind]);
		return CLI_USAGE;
	}
	if (only_check)
		return check();
	print();
	return cli_finish_output(COMMAND);
}
