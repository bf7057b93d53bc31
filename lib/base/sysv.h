/* System V shared memory that is one user's alone. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_SYSV_H
#define K8SLB_BASE_SYSV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SYSV_MODE 0600

/* A key of @hash, never IPC_PRIVATE. */
key_t sysv_key(uint64_t hash);

/*
 * Attaches segment @id of @least to @most bytes, with @flags of shmat(2), where nothing of the
 * program's is. @ret_address: for shmdt(2). Returns 0; -EPERM: not the effective user has made it
 * and owns it, or somebody else may use it; -EBADMSG: another size, or huge pages; or another
 * -errno.
 *
 * Huge pages: there may be none left at the first load, which is SIGBUS then. Whoever has the right
 * to them (gid 0, vm.hugetlb_shm_group) can make such a segment at any key.
 */
int sysv_attach(int id, size_t least, size_t most, int flags, void **ret_address);

#endif
