// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/keep_errno.h"

static bool is_wanted(const struct logger *logger, enum log_level level)
{
	return logger->write && level <= logger->level;
}

/* Text of a server may hold anything; one message must stay one line. */
__attribute__((format(printf, 2, 0))) static void format_line(char line[LOG_LINE_SIZE],
							      const char *format, va_list args)
{
	vsnprintf(line, LOG_LINE_SIZE, format, args);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
}

void log_line(const struct logger *logger, enum log_level level, const char *format, ...)
{
	KEEP_ERRNO();
	char line[LOG_LINE_SIZE];
	va_list args;

	if (!is_wanted(logger, level))
		return;
	va_start(args, format);
	format_line(line, format, args);
	va_end(args);
	logger->write(logger->ctx, level, line);
}

static bool is_told(const struct log_once *once, uint64_t hash)
{
	for (unsigned i = 0; i < LOG_ONCE_LINES; i++) {
		if (once->hashes[i] == hash)
			return true;
	}
	return false;
}

void log_once(struct log_once *once, const struct logger *logger, enum log_level level,
	      const char *format, ...)
{
	KEEP_ERRNO();
	char line[LOG_LINE_SIZE];
	va_list args;
	uint64_t hash;

	if (!is_wanted(logger, level))
		return;
	va_start(args, format);
	format_line(line, format, args);
	va_end(args);
	hash = hash_text(1, line);
	if (!is_told(once, hash)) {
		once->hashes[once->next++ % LOG_ONCE_LINES] = hash;
		logger->write(logger->ctx, level, line);
	}
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
