// SPDX-License-Identifier: Apache-2.0
/* k8slb doctor: every check in the order in which one hangs on another, and first of all the cause. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "cli.h"
#include "json_text.h"
#include "run_api.h"
#include "run_options.h"

#define COMMAND "doctor"

struct check {
	const char *name;
	check_function *look;
};

/* What comes first is the cause of what comes after it. */
static const struct check checks[] = {
	{"library", check_library},
	{"noexec", check_noexec},
	{"preloads", check_preloads},
	{"program", check_program},
	{"setuid", check_setuid},
	{"capabilities", check_capabilities},
	{"go", check_go},
	{"static", check_static},
	{"machine", check_machine},
	{"dislikes", check_dislikes},
	{"kubeconfig", check_kubeconfig},
	{"settings", check_settings},
	{"services", check_services},
	{"mesh", check_mesh},
	{"credentials", check_credentials},
	{"api", check_api},
	{"clock", check_clock},
	{"rights", check_rights},
	{"service", check_service},
	{"table", check_table},
	{"names", check_names},
	{"route", check_route},
	{"kernel", check_kernel},
	{"seccomp", check_seccomp},
	{0},
};

/* Before anything is injected there is no program, no library in it and no table. */
static const struct check checks_before[] = {
	{"kubeconfig", check_kubeconfig}, {"settings", check_settings},
	{"api", check_cluster},		  {"clock", check_clock},
	{"policies", check_policies},	  {"images", check_image_volumes},
	{0},
};

#define MOST_CHECKS (sizeof(checks) / sizeof(checks[0]))

void check_kubeconfig(struct patient *patient, struct finding *ret_finding)
{
	run_find_api(patient->context, ret_finding);
}

/* ---- telling ---- */

/* The first that failed, else the first that warns, or NULL. */
static const struct finding *cause_of(const struct finding *findings, size_t count)
{
	const struct finding *cause = NULL;

	for (size_t i = 0; i < count; i++) {
		if (findings[i].level == FINDING_FAIL)
			return &findings[i];
		if (findings[i].level == FINDING_WARN && !cause)
			cause = &findings[i];
	}
	return cause;
}

static bool use_colour(void)
{
	const char *no_colour = getenv("NO_COLOR"); /* https://no-color.org */
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) &&
	       !(terminal && strcmp(terminal, "dumb") == 0);
}

static const char *colour_of(enum finding_level level)
{
	return level == FINDING_FAIL ? "\033[31m" : level == FINDING_WARN ? "\033[33m" : "\033[32m";
}

static void print_lines(const char *first, const char *text)
{
	while (*text) {
		int length = (int)strcspn(text, "\n");

		printf("      %s%.*s\n", first, length, text);
		first = "  ";
		text += length + (text[length] == '\n');
	}
}

static void print_finding(const char *name, const struct finding *finding, bool colour)
{
	char id[16];

	snprintf(id, sizeof(id), PROBLEM_ID, finding->problem);
	printf("%s%-4s%s  %s  %-12s  %s\n", colour ? colour_of(finding->level) : "",
	       finding_level_name(finding->level), colour ? "\033[0m" : "", id, name, finding->what);
	print_lines("remedy: ", finding->remedy);
}

static void print_text(const struct check *list, const struct finding *findings, size_t count,
		       bool quiet)
{
	const struct finding *cause = cause_of(findings, count);
	bool colour = use_colour();

	if (cause)
		printf(PROBLEM_ID ": %s\n\n", cause->problem, cause->what);
	else
		printf("Nothing is wrong.\n%s", quiet ? "" : "\n");
	for (size_t i = 0; i < count; i++) {
		if (!quiet || findings[i].level >= FINDING_WARN)
			print_finding(list[i].name, &findings[i], colour);
	}
}

static void print_json(const struct check *list, const struct finding *findings, size_t count)
{
	const struct finding *cause = cause_of(findings, count);

	printf("{\"level\":\"%s\",\"cause\":", finding_level_name(cause ? cause->level : FINDING_OK));
	if (cause)
		printf("\"" PROBLEM_ID "\"", cause->problem);
	else
		printf("null");
	printf(",\"checks\":[");
	for (size_t i = 0; i < count; i++) {
		printf("%s\n {\"check\":\"%s\",\"id\":\"" PROBLEM_ID "\",\"level\":\"%s\",\"what\":",
		       i ? "," : "", list[i].name, findings[i].problem,
		       finding_level_name(findings[i].level));
		json_put_string(findings[i].what);
		printf(",\"remedy\":");
		json_put_string(findings[i].remedy);
		printf("}");
	}
	printf("]}\n");
}

static int run(int argc, char **argv)
{
	static struct finding findings[MOST_CHECKS];
	struct run_options options;
	struct patient patient = {0};
	const struct check *list = checks;
	const struct finding *cause;
	size_t count = 0;
	int status;

	if (run_parse(&doctor_command, argc, argv, &options) < 0)
		return CLI_USAGE;
	if (options.help)
		return cli_help(&doctor_command);
	given_to_environment(&options.settings);
	patient.program_name = options.program ? options.program[0] : NULL;
	patient.library_name = options.library;
	patient.context = options.context;
	if (options.before) {
		list = checks_before;
		setenv("K8SLB_SERVICES", "*/*", 0); /* without one no setting is read */
	}
	for (; list[count].name; count++)
		list[count].look(&patient, &findings[count]);
	if (options.json)
		print_json(list, findings, count);
	else
		print_text(list, findings, count, options.quiet);
	cause = cause_of(findings, count);
	patient_clear(&patient);
	status = cli_finish_output(COMMAND);
	return status == CLI_DONE && cause && cause->level == FINDING_FAIL ? CLI_FAILED : status;
}

const struct cli_command doctor_command = {
	.name = COMMAND,
	.summary = "why connections are not balanced, and what to do",
	.run = run,
	.usage = "[OPTION]... [[--] PROGRAM]",
	.about = "Look at the whole way from the settings to a pod, in this environment and for\n"
		 "this user. The first line names the cause; each line has an id (K8SLB011) that\n"
		 "docs/troubleshooting.md explains.",
	.options = doctor_options,
	.has_setting = run_has_setting,
	.end = "Exit status: 0 nothing fails (it may warn), 1 something does or the output cannot\n"
	       "be written, 2 wrong command line.",
	.takes_program = true,
};
