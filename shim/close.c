// SPDX-License-Identifier: Apache-2.0
/*
 * close(2): a number that is about to be another socket's is let go of first (closing.h). The call
 * itself is libc's, with its errors, its EINTR and its cancellation.
 */
#include <unistd.h>

#include "closing.h"
#include "libc.h"

__attribute__((visibility("default"))) int close(int fd)
{
	closing(fd);
	return libc_close(fd);
}
