// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cli_error(const char *command, const char *format, ...)
{
	char text[2 * LOG_LINE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "k8slb%s%s: %s\n", *command ? " " : "", command, text);
}

int cli_wrong(const char *command, const char *option, const char *value, const char *expected)
{
	cli_error(command, "%s \"%s\": expected %s", option, value, expected);
	return -EINVAL;
}

static void write_line(void *ctx, enum log_level level, const char *line)
{
	const char *const *command = ctx;

	(void)level;
	cli_error(*command, "%s", line);
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
	cli_error(command, "the output could not be written: %s", strerror(errno));
	return CLI_FAILED;
}
