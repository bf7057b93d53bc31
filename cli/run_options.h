/* The command lines of `k8slb run` and `k8slb doctor`, which are about the same program. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_RUN_OPTIONS_H
#define K8SLB_CLI_RUN_OPTIONS_H

#include <stdbool.h>

#include "configure.h"
#include "options.h"

struct run_options {
	const char *context; /* NULL: the current one */
	const char *library; /* NULL: beside this command */
	bool unchecked;	     /* run's */
	bool before;	     /* doctor's --pre */
	bool json;	     /* doctor's, and quiet */
	bool quiet;
	bool help;
	struct given_settings settings;
	char **program; /* with its arguments, ends with NULL; NULL: none */
};

/* What each has of its own. */
extern const struct cli_option run_options[], doctor_options[];

/* Every setting has an option of its name; two have a short one as well. */
bool run_has_setting(const struct config_setting *setting);

/* Returns 0, or -EINVAL after a message. The strings are @argv's. */
int run_parse(const struct cli_command *command, int argc, char **argv,
	      struct run_options *options);

#endif
