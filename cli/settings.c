// SPDX-License-Identifier: Apache-2.0
/* k8slb settings: the table of the library's settings, and what of the environment is wrong. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "configure.h"

#define COMMAND "settings"

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

static int run(int argc, char **argv)
{
	struct cli_parse parse;
	void (*print)(void) = print_text;
	bool only_check = false;
	int option;

	cli_parse_begin(&parse, &settings_command, argc, argv);
	while ((option = cli_next_option(&parse)) != -1) {
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
			return cli_help(&settings_command);
		default:
			return CLI_USAGE;
		}
	}
	if (optind < argc)
		return cli_unexpected(&settings_command, argv[optind]);
	if (only_check)
		return check();
	print();
	return cli_finish_output(COMMAND);
}

static const struct cli_option settings_options[] = {
	{"check", 'c', NULL, NULL, "tell only what is wrong in this environment"},
	{"output", 'o', "FORM", "text markdown", "text or markdown; default: text"},
	{0},
};

const struct cli_command settings_command = {
	.name = COMMAND,
	.summary = "the settings of the library and their defaults",
	.run = run,
	.usage = "[OPTION]...",
	.about = "Tell the environment variables of the library, what each may be, its default\n"
		 "and its meaning.",
	.options = settings_options,
	.end = "Exit status: 0 done, nothing is wrong; 1 a setting is wrong or the output cannot\n"
	       "be written; 2 wrong command line.",
};
