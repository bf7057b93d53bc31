/* The command line of `k8slb doctor`. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_DOCTOR_OPTIONS_H
#define K8SLB_CLI_DOCTOR_OPTIONS_H

#include <stdbool.h>

#include "configure.h"
#include "options.h"

struct doctor_options {
	const char *context;
	const char *library;
	const char *program; /* NULL: none */
	bool before;	     /* --pre */
	bool json;
	bool quiet;
	bool help;
	struct given_settings settings;
};

extern const struct cli_option doctor_options[];

/* Returns 0, or -EINVAL after a message. The strings are @argv's. */
int doctor_parse(int argc, char **argv, struct doctor_options *options);

#endif
