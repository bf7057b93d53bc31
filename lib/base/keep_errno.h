/* errno as it was, on whatever way out of a block. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_KEEP_ERRNO_H
#define K8SLB_BASE_KEEP_ERRNO_H

#include <errno.h>

static inline void keep_errno_restore(const int *kept)
{
	errno = *kept;
}

/* A declaration: at the end of its block, when a return value is known, errno is what it was here.
 */
#define KEEP_ERRNO() \
	const int kept_errno __attribute__((cleanup(keep_errno_restore), unused)) = errno

#endif
