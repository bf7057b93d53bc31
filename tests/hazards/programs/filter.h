/* A seccomp filter from a list of rules. */
// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_HAZARDS_FILTER_H
#define TESTS_HAZARDS_FILTER_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#else
#error "name the AUDIT_ARCH of this processor"
#endif

#define FILTER_RULES_MAX 64

/* What becomes of one system call: SECCOMP_RET_ERRNO | ENOSYS and the like. */
struct filter_rule {
	int call;
	uint32_t action;
};

/* Installs a filter for the calling thread (or, by SECCOMP_FILTER_FLAG_TSYNC in @flags, for all of
 * them): @otherwise for what no rule names. Returns 0 or -1 with errno. */
static inline int filter_install(const struct filter_rule *rules, unsigned count,
				 uint32_t otherwise, unsigned flags)
{
	struct sock_filter code[2 * FILTER_RULES_MAX + 5] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	if (count > FILTER_RULES_MAX) {
		errno = E2BIG;
		return -1;
	}
	for (unsigned i = 0; i < count; i++) {
		code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								   (uint32_t)rules[i].call, 0, 1);
		code[program.len++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, rules[i].action);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
	/* Without it a filter is for the privileged. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	if (!flags)
		return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

#endif
