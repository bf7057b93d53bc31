/* The command line of `k8slb agent`, and the settings behind it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_AGENT_OPTIONS_H
#define K8SLB_CLI_AGENT_OPTIONS_H

#include <stdbool.h>

#include "configure.h"

struct agent_options {
	const char *table;
	const char *listen; /* NULL: nowhere */
	unsigned mode;	    /* of the socket */
	enum log_level log_level;
	struct given_settings settings;
	bool help;
};

/* Returns 0, or -EINVAL after a message. The strings are @argv's. */
int agent_parse(int argc, char **argv, struct agent_options *options);

/* Prints the help text. Returns an exit status. */
int agent_help(void);

#endif
