/* Whether the calling thread has put itself behind a filter of system calls since the process began. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_NEW_FILTERS_H
#define K8SLB_SHIM_NEW_FILTERS_H

#include <stdbool.h>

/*
 * A program that shuts a thread into a sandbox allows what the thread itself calls. Whatever else a
 * hook called there could end the program. So before a hook that only waits makes other calls it
 * asks: one system call, prctl(2), where the process began without filters; in a container, whose
 * runtime gives it one, /proc is read too, which tells how many there are (Linux 5.9), and that
 * counts for a moment.
 */

/* How it is when the process begins. */
void new_filters_init(void);

/* It has, or that is not known. Async-signal-safe, keeps errno. */
bool new_filters_here(void);

#endif
