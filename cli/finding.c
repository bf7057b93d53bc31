// SPDX-License-Identifier: Apache-2.0
#include "finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What was found in a file or said by a server must not be lines of its own. */
__attribute__((format(printf, 4, 0))) static void fill(struct finding *finding,
						       enum finding_level level, enum problem problem,
						       const char *format, va_list args)
{
	finding->level = level;
	finding->problem = problem;
	finding->remedy[0] = '\0';
	vsnprintf(finding->what, sizeof(finding->what), format, args);
	for (char *c = finding->what; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
}

#define FILL(level_)                                          \
	do {                                                  \
		va_list args;                                 \
                                                              \
		va_start(args, format);                       \
		fill(finding, level_, problem, format, args); \
		va_end(args);                                 \
	} while (0)

void finding_ok(struct finding *finding, enum problem problem, const char *format, ...)
{
	FILL(FINDING_OK);
}

void finding_skip(struct finding *finding, enum problem problem, const char *format, ...)
{
	FILL(FINDING_SKIPPED);
}

void finding_warn(struct finding *finding, enum problem problem, const char *format, ...)
{
	FILL(FINDING_WARN);
}

void finding_fail(struct finding *finding, enum problem problem, const char *format, ...)
{
	FILL(FINDING_FAIL);
}

void finding_remedy(struct finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(finding->remedy, sizeof(finding->remedy), format, args);
	va_end(args);
}

const char *finding_level_name(enum finding_level level)
{
	static const char *const names[] = {
		[FINDING_OK] = "ok",
		[FINDING_SKIPPED] = "skip",
		[FINDING_WARN] = "warn",
		[FINDING_FAIL] = "fail",
	};

	return names[level];
}
