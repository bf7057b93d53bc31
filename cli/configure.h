/* The settings of a command: the command line's, else those of the environment. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_CONFIGURE_H
#define K8SLB_CLI_CONFIGURE_H

#include "config/config.h"
#include "config/settings.h"

struct given_settings {
	enum setting_part part; /* what is of a later one is not looked at: it has no meaning for a
				   command, so nothing of it can be wrong */
	const char *values[SETTINGS_MAX]; /* by the place in the table; NULL: the environment's */
};

/* The place of a setting's value. @name must be in the table. */
const char **given_setting(struct given_settings *given, const char *name);

/* Sets the variables of those that are given, for this process and what it becomes. */
void given_to_environment(const struct given_settings *given);

/*
 * Reads the settings as the library does, but all Services when K8SLB_SERVICES is not set, and a
 * wrong one is an error: the library goes on with the default, here that would be the answer to
 * another question. Returns 0, or -EINVAL or -ENOMEM after messages of @command; free by
 * config_free().
 */
int configure(const char *command, const struct given_settings *given, struct config *ret_config);

#endif
