// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void log_line(const struct logger *logger, enum log_level level, const char *format, ...)
{
	int saved_errno = errno;
	char line[LOG_LINE_SIZE];
	va_list args;

	if (!logger->write || level > logger->level)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* Text of a server may hold anything; one message must stay one line. */
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	logger->write(logger->ctx, level, line);
	errno = saved_errno;
}

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	case LOG_LEVEL_OFF:
		break;
	}
	return "off";
}
