/* Makes the calling thread a good guest: no signals, no shared descriptors, a name. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_THREAD_SETUP_H
#define K8SLB_ENGINE_THREAD_SETUP_H

#include <stdbool.h>

/*
 * Starts a detached thread with all signals blocked and a stack of its own size, whatever defaults
 * the host has set. Returns 0 or -errno.
 */
int guest_thread_start(void *(*run)(void *), void *argument);

/*
 * Gives the calling thread a file descriptor table of its own, empty but for /dev/null at 0 to 2.
 * Returns false where the kernel or a seccomp filter does not allow that (Linux < 5.9, valgrind):
 * the table is then still the host's, and untouched.
 */
bool guest_thread_own_fd_table(void);

/* As shown by ps -L and top -H. */
void guest_thread_name(const char *name);

#endif
