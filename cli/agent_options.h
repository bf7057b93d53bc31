/* The command line of `k8slb agent`, and the settings behind it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_AGENT_OPTIONS_H
#define K8SLB_CLI_AGENT_OPTIONS_H

#include <stdbool.h>

#include "config/config.h"

#define AGENT_SETTINGS 9

struct agent_options {
	const char *table;
	const char *listen; /* NULL: nowhere */
	unsigned mode;	    /* of the socket */
	enum log_level log_level;
	const char *settings[AGENT_SETTINGS]; /* in the order of the options' table; NULL: not
						 given */
	bool help;
};

/* Returns 0, or -EINVAL after a message. The strings are @argv's. */
int agent_parse(int argc, char **argv, struct agent_options *options);

/* The settings of the environment with those of the command line in their place. A wrong one is an
 * error: returns 0, or -EINVAL or -ENOMEM after a message; free by config_free(). */
int agent_settings(const struct agent_options *options, struct config *ret_config);

/* Prints the help text. Returns an exit status. */
int agent_help(void);

#endif
