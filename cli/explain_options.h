/* The command line of `k8slb explain`, and the settings behind it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_EXPLAIN_OPTIONS_H
#define K8SLB_CLI_EXPLAIN_OPTIONS_H

#include <stdbool.h>

#include "config/config.h"
#include "options.h"

struct explain_options {
	const char *from; /* NULL: the API server */
	const char *node; /* NULL: not given */
	const char *zone;
	/* In place of these: a table that runs. */
	bool running;	   /* that of this user's programs */
	long pid;	   /* of a process; 0: none */
	const char *table; /* an agent's; NULL: none */
	bool watch;
	bool json;
	const char *service; /* NULL: all */
	bool help;
};

/* Returns 0, or -EINVAL after a message. The strings are @argv's. */
int explain_parse(int argc, char **argv, struct explain_options *options);

/* A table that runs is asked for. */
bool explain_is_of_table(const struct explain_options *options);

/* The settings of the library (configure.h) with those of the command line in their place. Returns
 * 0, or -EINVAL or -ENOMEM after a message; free by config_free(). */
int explain_settings(const struct explain_options *options, struct config *ret_config);

/* The command's own. */
extern const struct cli_option explain_options[];

#endif
