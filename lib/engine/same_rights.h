/* Whether another thread would answer a change of user or group ids as the calling one does. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_SAME_RIGHTS_H
#define K8SLB_ENGINE_SAME_RIGHTS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * All that the kernel keeps for each thread and asks then: ids, groups, capabilities, the filters
 * of seccomp(2) by their number, no_new_privs. As proc(5) tells it of both threads, in two reads of
 * about 30 us. False where that cannot be told: no /proc, or filters that the kernel does not count
 * (before Linux 5.9). User namespaces are not among it: a process of several threads is in one.
 * No malloc, no stdio; async-signal-safe; changes errno.
 */
bool same_rights(pid_t tid);

#endif
