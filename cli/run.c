// SPDX-License-Identifier: Apache-2.0
/* k8slb run: sets what the library reads, looks whether it can work, and becomes the program. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "cli.h"
#include "run_api.h"
#include "run_options.h"

#define COMMAND "run"

/* As env(1), nohup(1) and their kin say that the program did not start. */
enum {
	RUN_REFUSED = 125,
	RUN_NOT_STARTED = 126,
	RUN_NOT_FOUND = 127,
};

#define ALL_THE_SAME "; --unchecked starts it all the same"

/* What shows by itself why the library would do nothing in the program. */
static check_function *const before_start[] = {
	check_library, check_noexec, check_program, check_setuid,
	check_capabilities, check_go,	  check_static,	 check_machine,  check_dislikes,
};

/* There is something to start, and it is known how. */
static bool can_start(const struct finding *finding)
{
	return finding->problem != PROBLEM_LIBRARY && finding->problem != PROBLEM_PROGRAM &&
	       finding->problem != PROBLEM_KUBECONFIG;
}

static void tell(const struct finding *finding)
{
	char remedy[sizeof(finding->remedy) + sizeof(ALL_THE_SAME) + 16];

	snprintf(remedy, sizeof(remedy), "%s%s (" PROBLEM_ID ")", finding->remedy,
		 can_start(finding) ? ALL_THE_SAME : "", finding->problem);
	cli_error(COMMAND, remedy, "%s", finding->what);
}

/* Returns an exit status. */
static int check_all(struct patient *patient, bool unchecked)
{
	struct finding finding;

	for (size_t i = 0; i < sizeof(before_start) / sizeof(before_start[0]); i++) {
		before_start[i](patient, &finding);
		if (finding.level != FINDING_FAIL || (unchecked && can_start(&finding)))
			continue;
		tell(&finding);
		if (finding.problem != PROBLEM_PROGRAM)
			return RUN_REFUSED;
		return strstr(finding.what, strerror(ENOENT)) ? RUN_NOT_FOUND : RUN_NOT_STARTED;
	}
	return CLI_DONE;
}

/* Outside of a Pod: inside, a program must start also while the API server is away. Returns an exit
 * status. */
static int check_network(struct patient *patient)
{
	struct finding finding;
	char error[1024];

	if (patient_ask(patient, error, sizeof(error)) < 0) {
		cli_error(COMMAND, "k8slb doctor looks at each part of the way" ALL_THE_SAME, "%s",
			  error);
		return RUN_REFUSED;
	}
	check_route(patient, &finding);
	if (finding.level != FINDING_FAIL)
		return CLI_DONE;
	tell(&finding);
	return RUN_REFUSED;
}

/* Of a list as ld.so(8) reads it. */
static bool has_word(const char *list, const char *word)
{
	for (size_t length; *list; list += length) {
		list += strspn(list, " :");
		length = strcspn(list, " :");
		if (length && strlen(word) == length && strncmp(list, word, length) == 0)
			return true;
	}
	return false;
}

/* Behind those that are there: a sanitizer's runtime, or a malloc, is to be the first. */
static int set_preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char *all;

	if (!others || !*others)
		return setenv("LD_PRELOAD", library, 1) < 0 ? -errno : 0;
	if (has_word(others, library))
		return 0;
	if (asprintf(&all, "%s:%s", others, library) < 0)
		return -ENOMEM;
	if (setenv("LD_PRELOAD", all, 1) < 0) {
		free(all);
		return -errno;
	}
	free(all);
	return 0;
}

/* Returns an exit status, or not at all. */
static int become(const struct patient *patient, char **program)
{
	int rc = set_preload(patient->library);

	if (rc < 0) {
		cli_failed(COMMAND, "LD_PRELOAD", rc);
		return RUN_REFUSED;
	}
	execvp(program[0], program);
	rc = errno;
	cli_error(COMMAND, "give a program that the kernel can start", "%s: %s", program[0],
		  strerror(rc));
	return rc == ENOENT ? RUN_NOT_FOUND : RUN_NOT_STARTED;
}

static int prepare(struct patient *patient, const struct run_options *options)
{
	struct finding finding;
	const char *services;
	int status;

	given_to_environment(&options->settings);
	services = getenv("K8SLB_SERVICES");
	if (!services || !*services) {
		cli_error(COMMAND, "name what to balance by -s SERVICE, or -s '*' for all of the namespace (K8SLB002)",
			  "no Service is asked for, so nothing would be balanced");
		return RUN_REFUSED;
	}
	status = check_all(patient, options->unchecked);
	if (status != CLI_DONE)
		return status;
	run_find_api(options->context, &finding);
	if (finding.level == FINDING_FAIL) {
		tell(&finding);
		return RUN_REFUSED;
	}
	if (configure(COMMAND, &options->settings, &patient->config) < 0)
		return RUN_REFUSED;
	patient->has_config = true;
	if (options->unchecked || run_is_in_pod() || patient->config.table_path[0])
		return CLI_DONE;
	return check_network(patient);
}

static int run(int argc, char **argv)
{
	struct run_options options;
	struct patient patient = {0};
	int status;

	if (run_parse(&run_command, argc, argv, &options) < 0)
		return RUN_REFUSED;
	if (options.help)
		return cli_help(&run_command);
	if (!options.program) {
		cli_error(COMMAND, "name it behind the options, as k8slb run -s web -- curl http://web",
			  "a program is missing");
		return RUN_REFUSED;
	}
	patient.program_name = options.program[0];
	patient.library_name = options.library;
	status = prepare(&patient, &options);
	/* No memory is freed before: what does, runs in the program's place until it starts. */
	if (status == CLI_DONE)
		status = become(&patient, options.program);
	patient_clear(&patient);
	return status;
}

const struct cli_command run_command = {
	.name = COMMAND,
	.summary = "start a program under the library",
	.run = run,
	.usage = "[OPTION]... [--] PROGRAM [ARGUMENT]...",
	.about = "Start a program that is balanced: process, signals, descriptors and exit status\n"
		 "are its own. Outside of a Pod the API server is that of the kubeconfig; where\n"
		 "the library cannot log in as kubectl does, a kubectl proxy runs beside it.",
	.options = run_options,
	.has_setting = run_has_setting,
	.end = "Exit status: the program's; 125 it was not started, and why is said; 126 it\n"
	       "cannot be; 127 it is not there.",
	.takes_program = true,
};
