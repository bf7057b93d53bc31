// SPDX-License-Identifier: Apache-2.0
/*
 * without_calls CALL=ERROR... -- CMD...: runs a command in which these system calls fail, as under
 * an older kernel or a container's seccomp profile: without_calls close_range=ENOSYS -- ls
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

struct name {
	const char *name;
	int number;
};

static const struct name calls[] = {
	{"clone3", SYS_clone3},
	{"close_range", SYS_close_range},
	{"connect", SYS_connect},
	{"fallocate", SYS_fallocate},
	{"getrandom", SYS_getrandom},
	{"getsockopt", SYS_getsockopt},
	{"inotify_init1", SYS_inotify_init1},
	{"madvise", SYS_madvise},
	{"memfd_create", SYS_memfd_create},
	{"prctl", SYS_prctl},
	{"socket", SYS_socket},
	{"unshare", SYS_unshare},
};

static const struct name errors[] = {
	{"EACCES", EACCES}, {"EINVAL", EINVAL}, {"ENOMEM", ENOMEM},
	{"ENOSYS", ENOSYS}, {"EPERM", EPERM},
};

static int number_of(const struct name *names, size_t count, const char *text, size_t length)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(names[i].name) == length && memcmp(names[i].name, text, length) == 0)
			return names[i].number;
	}
	return -1;
}

static int parse_rule(const char *text, struct filter_rule *ret_rule)
{
	const char *error = strchr(text, '=');
	int call, number;

	if (!error)
		return -1;
	call = number_of(calls, sizeof(calls) / sizeof(calls[0]), text, (size_t)(error - text));
	error++;
	number = number_of(errors, sizeof(errors) / sizeof(errors[0]), error, strlen(error));
	if (call < 0 || number < 0)
		return -1;
	ret_rule->call = call;
	ret_rule->action = SECCOMP_RET_ERRNO | (uint32_t)number;
	return 0;
}

int main(int argc, char **argv)
{
	struct filter_rule rules[FILTER_RULES_MAX];
	unsigned count = 0;
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (count == FILTER_RULES_MAX || parse_rule(argv[i], &rules[count]) < 0) {
			fprintf(stderr, "without_calls: %s: expected CALL=ERROR of those known\n",
				argv[i]);
			return 2;
		}
		count++;
	}
	if (i + 1 >= argc) {
		fprintf(stderr, "usage: without_calls CALL=ERROR... -- CMD...\n");
		return 2;
	}
	if (filter_install(rules, count, SECCOMP_RET_ALLOW, 0) < 0) {
		perror("without_calls: seccomp");
		return 2;
	}
	execvp(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 127;
}
