/* What the commands of k8slb share: exit statuses, messages, and their entry functions. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_CLI_H
#define K8SLB_CLI_CLI_H

#include "base/log.h"

enum cli_status {
	CLI_DONE = 0,
	CLI_FAILED = 1, /* what was asked for is not there, or cannot be read */
	CLI_USAGE = 2,	/* the command line is wrong */
};

/* One line on standard error: "k8slb COMMAND: ..."; @command "" for k8slb itself. */
void cli_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says by cli_error() that @option has the @value that is not what is @expected. Returns -EINVAL.
 */
int cli_wrong(const char *command, const char *option, const char *value, const char *expected);

/* Writes its messages by cli_error(); @command is kept. */
struct logger cli_logger(const char *command);

/* Flushes standard output. Returns CLI_DONE, or CLI_FAILED with a message when something of it was
 * lost: a full disk must not look like a short answer. */
int cli_finish_output(const char *command);

/* k8slb agent; argv[0] is "agent". Returns an exit status. */
int agent_command(int argc, char **argv);

/* k8slb explain; argv[0] is "explain". Returns an exit status. */
int explain_command(int argc, char **argv);

/* k8slb settings; argv[0] is "settings". Returns an exit status. */
int settings_command(int argc, char **argv);

#endif
