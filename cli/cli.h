/* What the commands of k8slb share: exit statuses, messages, and their entry functions. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_CLI_H
#define K8SLB_CLI_CLI_H

#include "base/log.h"
#include "options.h"

enum cli_status {
	CLI_DONE = 0,
	CLI_FAILED = 1, /* what was asked for is not there, or cannot be read */
	CLI_USAGE = 2,	/* the command line is wrong */
};

/* One line on standard error: "k8slb COMMAND: WHAT; REMEDY"; @command "" for k8slb itself. @format
 * says what is wrong and why, @remedy what to do: never "" (tests/cli/test_messages.py). */
void cli_error(const char *command, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* @what failed by @rc (-errno) of the system. */
void cli_failed(const char *command, const char *what, int rc);

/* A line of the library, which says itself what was expected or is left out. */
void cli_relay(const char *command, const char *line);

/* Says by cli_error() that @option has the @value that is not what is @expected. Returns -EINVAL.
 */
int cli_wrong(const char *command, const char *option, const char *value, const char *expected);

/* Writes its messages by cli_error(); @command is kept. */
struct logger cli_logger(const char *command);

/* Flushes standard output. Returns CLI_DONE, or CLI_FAILED with a message when something of it was
 * lost: a full disk must not look like a short answer. */
int cli_finish_output(const char *command);

/* The commands (options.h). */
extern const struct cli_command agent_command, bundle_command, completion_command, copy_command,
	doctor_command, explain_command, run_command, settings_command;

/* All of them, by name; ends with NULL (main.c). */
extern const struct cli_command *const cli_commands[];

#endif
