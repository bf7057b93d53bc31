/* System V shared memory that is one user's alone. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_SYSV_H
#define K8SLB_BASE_SYSV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SYSV_MODE	   0600
#define SYSV_ATTACH_FAILED ((void *)-1) /* shmat(2) */

/* A key of @hash, never IPC_PRIVATE. */
key_t sysv_key(uint64_t hash);

/*
 * Whether the effective user has made the segment and owns it, and nobody else may use it. Returns
 * 0; -EPERM: not so; or another -errno. @ret_size: its bytes.
 */
int sysv_check(int id, size_t *ret_size);

#endif
