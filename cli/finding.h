/* What is found out about one part of the way to a balanced connection, by a stable number. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_FINDING_H
#define K8SLB_CLI_FINDING_H

#include <stddef.h>

enum finding_level {
	FINDING_OK,
	FINDING_SKIPPED, /* nothing to say: it does not apply, or hangs on another one that failed */
	FINDING_WARN,	 /* works, but not as well as it could, or not for everything */
	FINDING_FAIL,	 /* nothing is balanced, or a program does not start */
};

/*
 * "K8SLB011": never another meaning, and an anchor in docs/troubleshooting.md, which
 * tests/cli/test_doctor.py compares with this list. Tens are parts of the way.
 */
enum problem {
	PROBLEM_SETTING = 1, /* a wrong one */
	PROBLEM_NO_SERVICE,
	PROBLEM_LIBRARY, /* not found, or no library of ours */
	PROBLEM_NOEXEC,
	PROBLEM_PRELOADS, /* of others, beside ours */
	PROBLEM_EXCLUDED, /* the program, by K8SLB_ONLY or K8SLB_SKIP */

	PROBLEM_PROGRAM = 10, /* not found, or cannot be started */
	PROBLEM_STATIC,
	PROBLEM_GO,
	PROBLEM_SETUID,
	PROBLEM_CAPABILITIES,
	PROBLEM_MACHINE,
	PROBLEM_DISLIKES, /* a preload, whatever is in it */

	PROBLEM_KUBECONFIG = 20,
	PROBLEM_CREDENTIALS,
	PROBLEM_API, /* does not answer */
	PROBLEM_CA,
	PROBLEM_TOKEN,
	PROBLEM_RIGHTS,
	PROBLEM_CLOCK,
	PROBLEM_SERVICE, /* not found */
	PROBLEM_NO_ENDPOINTS,

	PROBLEM_NO_TABLE = 30,
	PROBLEM_TABLE_USER,
	PROBLEM_WRITER, /* has no beat */
	PROBLEM_OLD,
	PROBLEM_OTHER_USER, /* there are tables, and they are of others */

	PROBLEM_NAMES = 40,

	PROBLEM_ROUTE = 50,
	PROBLEM_MESH,

	PROBLEM_KERNEL = 60,
	PROBLEM_SECCOMP,

	PROBLEM_VERSION = 70, /* of the cluster */
	PROBLEM_POLICIES,
	PROBLEM_IMAGE_VOLUMES,
};

struct finding {
	enum finding_level level;
	enum problem problem;
	char what[1024]; /* what, and why; one line */
	char remedy[2048]; /* lines; "" for FINDING_OK and FINDING_SKIPPED */
};

/* All is well, or there is nothing to look at. */
void finding_ok(struct finding *finding, enum problem problem, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void finding_skip(struct finding *finding, enum problem problem, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The remedy follows by finding_remedy(). */
void finding_warn(struct finding *finding, enum problem problem, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void finding_fail(struct finding *finding, enum problem problem, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void finding_remedy(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "ok", "skip", "warn", "fail". */
const char *finding_level_name(enum finding_level level);

/* "K8SLB011" */
#define PROBLEM_ID "K8SLB%03u"

#endif
