/* The command line of `k8slb agent`, and the settings behind it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_AGENT_OPTIONS_H
#define K8SLB_CLI_AGENT_OPTIONS_H

#include <stdbool.h>

#include "configure.h"
#include "options.h"

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

/* The command's own, and whether a setting has an option of its name and no meaning besides;
 * --services has. */
extern const struct cli_option agent_options[];
bool agent_has_setting(const struct config_setting *setting);

#endif
