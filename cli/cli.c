// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cli_relay(const char *command, const char *line)
{
	fprintf(stderr, "k8slb%s%s: %s\n", *command ? " " : "", command, line);
}

void cli_error(const char *command, const char *remedy, const char *format, ...)
{
	char text[2 * LOG_LINE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "k8slb%s%s: %s; %s\n", *command ? " " : "", command, text, remedy);
}

void cli_failed(const char *command, const char *what, int rc)
{
	/* What the kernel or the allocator refuses is mended on the machine. */
	cli_error(command,
		  rc == -ENOMEM ? "free memory, or raise the limit of the container or of ulimit -v"
				: "the machine's limits (ulimit -a) or its rights are to be changed",
		  "%s: %s", what, strerror(-rc));
}

int cli_wrong(const char *command, const char *option, const char *value, const char *expected)
{
	char line[2 * LOG_LINE_SIZE];

	snprintf(line, sizeof(line), "%s \"%s\": expected %s", option, value, expected);
	cli_relay(command, line);
	return -EINVAL;
}

static void write_line(void *ctx, enum log_level level, const char *line)
{
	const char *const *command = ctx;

	(void)level;
	cli_relay(*command, line);
}

struct logger cli_logger(const char *command)
{
	static const char *name; /* one command a process */

	name = command;
	return (struct logger){.level = LOG_LEVEL_ERROR, .write = write_line, .ctx = &name};
}

int cli_finish_output(const char *command)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CLI_DONE;
	cli_error(command, "give it a file or a pipe that takes it all",
		  "the output could not be written: %s", strerror(errno));
	return CLI_FAILED;
}
