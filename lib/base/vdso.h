/* The kernel's clock without libc: no thread-local storage, no registers but the general ones. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_VDSO_H
#define K8SLB_BASE_VDSO_H

#include <stdint.h>

/*
 * Finds the kernel's own clock_gettime() in the vDSO, for what follows. Once, before it; without a
 * vDSO (some emulators) nothing is found. Keeps errno.
 */
void vdso_init(void);

/*
 * clock_coarse_ms() for code that runs where libc must not: on a thread whose thread-local storage is
 * not libc's, or on a stack that is not the thread's. No system call where vdso_init() found the
 * clock, else one; does not touch errno. UINT64_MAX: there is no time to be had.
 */
uint64_t vdso_coarse_ms(void);

#endif
