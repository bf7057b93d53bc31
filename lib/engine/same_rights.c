// SPDX-License-Identifier: Apache-2.0
#include "engine/same_rights.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/raw_syscall.h"

#define NAME_SIZE 20

/* What is known of one thread. A list of groups may be long, so the lines are hashed. */
struct rights {
	uint64_t hash;
	bool filtered;
	bool filters_counted;
};

static bool counts(const char *name)
{
	static const char *const names[] = {
		"Uid",	  "Gid",    "Groups",  "CapInh",     "CapPrm",		"CapEff",
		"CapBnd", "CapAmb", "Seccomp", "NoNewPrivs", "Seccomp_filters",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* A walk through the text: in the name of a line, or behind it. */
struct walk {
	char name[NAME_SIZE];
	size_t length;
	bool behind;
	bool counts;
};

static void take(struct walk *walk, char c, struct rights *rights)
{
	if (c == '\n') {
		*walk = (struct walk){.length = 0};
	} else if (walk->behind) {
		if (walk->counts)
			rights->hash = hash_mix(rights->hash ^ (uint8_t)c);
		if (c != '0' && c != '\t' && strcmp(walk->name, "Seccomp") == 0)
			rights->filtered = true;
	} else if (c == ':') {
		walk->behind = true;
		walk->counts = counts(walk->name);
		if (strcmp(walk->name, "Seccomp_filters") == 0)
			rights->filters_counted = true;
	} else if (walk->length + 1 < sizeof(walk->name)) {
		walk->name[walk->length++] = c;
	}
}

/* No cancellation points: the caller may be a hook. */
static bool read_rights(const char *path, struct rights *rights)
{
	struct walk walk = {.length = 0};
	char text[512]; /* stacks of threads may be small */
	int fd = (int)raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	long got;

	if (fd < 0)
		return false;
	while ((got = raw_syscall(SYS_read, fd, text, sizeof(text))) > 0) {
		for (long i = 0; i < got; i++)
			take(&walk, text[i], rights);
	}
	raw_syscall(SYS_close, fd);
	return got == 0 && (!rights->filtered || rights->filters_counted);
}

bool same_rights(pid_t tid)
{
	struct rights ours = {.hash = 0};
	struct rights theirs = {.hash = 0};
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	return read_rights("/proc/thread-self/status", &ours) && read_rights(path, &theirs) &&
	       ours.hash == theirs.hash;
}
