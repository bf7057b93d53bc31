// SPDX-License-Identifier: Apache-2.0
/*
 * refuse CALL COMMAND...: runs the command behind a filter that refuses one system call, as the
 * default ones of container runtimes refuse pidfd_getfd (EPERM).
 */
#include <stdio.h>
#include <string.h>

#include "../../hazards/programs/filter.h"

static const struct {
	const char *name;
	struct filter_rule rule;
} calls[] = {
	{"pidfd_getfd", {438, SECCOMP_RET_ERRNO | EPERM}},
	{"shutdown", {SYS_shutdown, SECCOMP_RET_ERRNO | EBUSY}},
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc > 2 && i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strcmp(argv[1], calls[i].name) == 0 &&
		    filter_install(&calls[i].rule, 1, SECCOMP_RET_ALLOW, 0) == 0)
			execvp(argv[2], argv + 2);
	}
	perror("refuse");
	return 2;
}
