// SPDX-License-Identifier: Apache-2.0
/* k8slb completion: what a shell needs to complete our commands, from the tables that they parse by. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define COMMAND "completion"

/* An option of a command, its own or a setting's, as a shell has to know it. */
struct known_option {
	char name[SETTING_TEXT_SIZE];
	char letter; /* 0: none */
	bool has_value;
	const char *words; /* options.h */
	char help[SETTING_TEXT_SIZE];
};

typedef void tell_option(const struct cli_command *command, const struct known_option *option);

/* ---- the tables ---- */

/* The first line, without what a shell's quotes would end at. */
static void take_help(const char *help, char text[SETTING_TEXT_SIZE])
{
	snprintf(text, SETTING_TEXT_SIZE, "%.*s", (int)strcspn(help, "\n"), help);
	setting_plain(text);
	for (char *c = text; *c; c++) {
		if (strchr("'\"[]:\\$", *c))
			*c = ' ';
	}
}

static const char *words_of(const struct config_setting *setting, char text[SETTING_TEXT_SIZE])
{
	size_t length = 0;

	if (setting->kind == SETTING_PATH || setting->kind == SETTING_SECRET_PATH)
		return "FILE";
	if (!setting->choices)
		return NULL;
	for (unsigned i = 0; setting->choices[i]; i++)
		length += (size_t)snprintf(text + length, SETTING_TEXT_SIZE - length, "%s%s",
					   i ? " " : "", setting->choices[i]);
	return text;
}

static void each_option(const struct cli_command *command, tell_option *tell)
{
	static const struct cli_option help = {"help", 'h', NULL, NULL, "this text"};
	struct known_option known;
	char words[SETTING_TEXT_SIZE];

	for (const struct cli_option *option = command->options;; option++) {
		const struct cli_option *one = option->name ? option : &help;

		known = (struct known_option){.has_value = one->value, .words = one->words};
		known.letter = one->letter < CLI_OPTION_LONG ? (char)one->letter : 0;
		snprintf(known.name, sizeof(known.name), "%s", one->name);
		take_help(one->help, known.help);
		tell(command, &known);
		if (!option->name)
			break;
	}
	for (const struct config_setting *setting = config_settings;
	     command->has_setting && setting->name; setting++) {
		if (!command->has_setting(setting))
			continue;
		known = (struct known_option){.has_value = true, .words = words_of(setting, words)};
		setting_option(setting, known.name);
		take_help(setting->meaning, known.help);
		tell(command, &known);
	}
}

static void each_command(void (*tell)(const struct cli_command *command))
{
	for (unsigned i = 0; cli_commands[i]; i++)
		tell(cli_commands[i]);
}

static bool is_place(const char *words)
{
	return words && (strcmp(words, "FILE") == 0 || strcmp(words, "DIR") == 0);
}

/* ---- bash ---- */

static void bash_name(const struct cli_command *command, const struct known_option *option)
{
	(void)command;
	printf(" --%s", option->name);
}

static void bash_value(const struct cli_command *command, const struct known_option *option)
{
	(void)command;
	if (!option->has_value)
		return;
	printf("\t\t--%s", option->name);
	if (option->letter)
		printf("|-%c", option->letter);
	if (is_place(option->words))
		printf(") COMPREPLY=($(compgen -%c -- \"$current\")); return ;;\n",
		       strcmp(option->words, "DIR") == 0 ? 'd' : 'f');
	else
		printf(") COMPREPLY=($(compgen -W '%s' -- \"$current\")); return ;;\n",
		       option->words ? option->words : "");
}

static void bash_command(const struct cli_command *command)
{
	printf("\t%s)\n\t\tcase $before in\n", command->name);
	each_option(command, bash_value);
	printf("\t\tesac\n\t\toptions='");
	each_option(command, bash_name);
	printf("' kind=%c words='%s' ;;\n",
	       command->takes_program	  ? 'c'
	       : is_place(command->words) ? 'd'
					  : 'W',
	       command->words && !is_place(command->words) ? command->words : "");
}

static void word_of_command(const struct cli_command *command)
{
	printf("%s ", command->name);
}

static void print_bash(void)
{
	printf("# bash completion of k8slb\n"
	       "_k8slb()\n"
	       "{\n"
	       "\tlocal current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tlocal options= kind= words=\n"
	       "\tCOMPREPLY=()\n"
	       "\tif ((COMP_CWORD == 1)); then\n"
	       "\t\tCOMPREPLY=($(compgen -W '");
	each_command(word_of_command);
	printf("help --help --version' -- \"$current\"))\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tcase ${COMP_WORDS[1]} in\n");
	each_command(bash_command);
	printf("\tesac\n"
	       "\tif [[ $current == -* ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
	       "\telse\n"
	       "\t\tcase $kind in\n"
	       "\t\tc) COMPREPLY=($(compgen -c -f -- \"$current\")) ;;\n"
	       "\t\td) COMPREPLY=($(compgen -d -- \"$current\")) ;;\n"
	       "\t\tW) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
	       "\t\tesac\n"
	       "\tfi\n"
	       "}\n"
	       "complete -F _k8slb k8slb\n");
}

/* ---- zsh ---- */

static void zsh_option(const struct cli_command *command, const struct known_option *option)
{
	const char *equals = option->has_value ? "=" : "";

	(void)command;
	if (option->letter)
		printf("\t\t\t'(-%c --%s)'{-%c%s,--%s%s}'[%s]", option->letter, option->name,
		       option->letter, option->has_value ? "+" : "", option->name, equals,
		       option->help);
	else
		printf("\t\t\t'--%s%s[%s]", option->name, equals, option->help);
	if (option->has_value && is_place(option->words))
		printf(":%s:_files%s", option->name, strcmp(option->words, "DIR") == 0 ? " -/" : "");
	else if (option->has_value)
		printf(":%s:(%s)", option->name, option->words ? option->words : "");
	printf("' \\\n");
}

static void zsh_command(const struct cli_command *command)
{
	printf("\t%s)\n\t\t_arguments -s -S \\\n", command->name);
	each_option(command, zsh_option);
	if (command->takes_program)
		printf("\t\t\t'(-)1:program:_command_names -e' '*::arguments:_normal'\n");
	else if (is_place(command->words))
		printf("\t\t\t'*:folder:_files -/'\n");
	else
		printf("\t\t\t'*:word:(%s)'\n", command->words ? command->words : "");
	printf("\t\t;;\n");
}

static void zsh_name(const struct cli_command *command)
{
	char help[SETTING_TEXT_SIZE];

	take_help(command->summary, help);
	printf("\t\t'%s:%s'\n", command->name, help);
}

static void print_zsh(void)
{
	printf("#compdef k8slb\n"
	       "_k8slb()\n"
	       "{\n"
	       "\tlocal -a commands\n"
	       "\tcommands=(\n");
	each_command(zsh_name);
	printf("\t)\n"
	       "\tif ((CURRENT == 2)); then\n"
	       "\t\t_describe command commands\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tlocal command=$words[2]\n"
	       "\tshift words\n"
	       "\t((CURRENT--))\n"
	       "\tcase $command in\n");
	each_command(zsh_command);
	printf("\tesac\n"
	       "}\n"
	       "if [ \"$funcstack[1]\" = _k8slb ]; then _k8slb \"$@\"; else compdef _k8slb k8slb; fi\n");
}

/* ---- fish ---- */

static void fish_option(const struct cli_command *command, const struct known_option *option)
{
	printf("complete -c k8slb -n '__fish_seen_subcommand_from %s' -l %s", command->name,
	       option->name);
	if (option->letter)
		printf(" -s %c", option->letter);
	if (option->has_value && is_place(option->words))
		printf(" -r -F");
	else if (option->has_value)
		printf(" -x%s%s%s", option->words ? " -a '" : "", option->words ? option->words : "",
		       option->words ? "'" : "");
	printf(" -d '%s'\n", option->help);
}

static void fish_command(const struct cli_command *command)
{
	char help[SETTING_TEXT_SIZE];

	take_help(command->summary, help);
	printf("complete -c k8slb -n __fish_use_subcommand -a %s -d '%s'\n", command->name, help);
	each_option(command, fish_option);
	if (command->takes_program)
		printf("complete -c k8slb -n '__fish_seen_subcommand_from %s' -x -a "
		       "'(__fish_complete_subcommand)'\n",
		       command->name);
	else if (command->words)
		printf("complete -c k8slb -n '__fish_seen_subcommand_from %s' -a '%s'\n",
		       command->name,
		       is_place(command->words) ? "(__fish_complete_directories)"
						: command->words);
}

static void print_fish(void)
{
	printf("# fish completion of k8slb\ncomplete -c k8slb -f\n");
	each_command(fish_command);
}

/* ---- the command ---- */

static int run(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} shells[] = {{"bash", print_bash}, {"fish", print_fish}, {"zsh", print_zsh}};
	struct cli_parse parse;
	int option;

	cli_parse_begin(&parse, &completion_command, argc, argv);
	while ((option = cli_next_option(&parse)) != -1)
		return option == 'h' ? cli_help(&completion_command) : CLI_USAGE;
	if (optind + 1 < argc)
		return cli_unexpected(&completion_command, argv[optind + 1]);
	for (size_t i = 0; optind < argc && i < sizeof(shells) / sizeof(shells[0]); i++) {
		if (strcmp(argv[optind], shells[i].name) == 0) {
			shells[i].print();
			return cli_finish_output(COMMAND);
		}
	}
	cli_wrong(COMMAND, "SHELL", optind < argc ? argv[optind] : "", "bash, fish or zsh");
	return CLI_USAGE;
}

static const struct cli_option no_options[] = {{0}};

const struct cli_command completion_command = {
	.name = COMMAND,
	.summary = "what a shell needs to complete these commands",
	.run = run,
	.usage = "SHELL",
	.about = "Print the completion of k8slb for bash, fish or zsh.\n"
		 "\n"
		 "  bash:  source <(k8slb completion bash), in ~/.bashrc\n"
		 "  fish:  k8slb completion fish > ~/.config/fish/completions/k8slb.fish\n"
		 "  zsh:   k8slb completion zsh > _k8slb, in a folder of $fpath",
	.options = no_options,
	.words = "bash fish zsh",
	.end = "Exit status: 0 done, 1 the output cannot be written, 2 wrong command line.",
};
