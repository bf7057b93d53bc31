// SPDX-License-Identifier: Apache-2.0
/*
 * setsockopt(2) remembers whether the program gives any socket a TCP_USER_TIMEOUT: one that never
 * did need not be asked for its own before a try is bounded by it (patience.h).
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "libc.h"
#include "patience.h"

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int name,
						      const void *value, socklen_t size)
{
	/* Before the call: from then on another thread may connect that socket. */
	if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT)
		patience_user_timeout_is_used();
	return libc_setsockopt(fd, level, name, value, size);
}
