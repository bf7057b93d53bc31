// SPDX-License-Identifier: Apache-2.0
/*
 * getsockopt(2): SO_ERROR of a connection under way. A program asks for it to learn the outcome; a
 * failure that another endpoint may follow is dealt with before, since an answer takes it from the
 * kernel (revive.h).
 */
#include <string.h>
#include <sys/socket.h>

#include "engine/engine.h"
#include "libc.h"
#include "pending.h"
#include "revive.h"

static int shim_so_error(int fd, void *value, socklen_t *size)
{
	int owed = revive_before_error(fd);
	int rc = libc_getsockopt(fd, SOL_SOCKET, SO_ERROR, value, size);

	/* The kernel has written there: both can be followed. */
	if (rc == 0 && owed)
		memcpy(value, &owed, *size < sizeof(owed) ? *size : sizeof(owed));
	return rc;
}

__attribute__((visibility("default"))) int getsockopt(int fd, int level, int name, void *value,
						      socklen_t *size)
{
	if (level == SOL_SOCKET && name == SO_ERROR && pending_watched() &&
	    !engine_is_own_thread())
		return shim_so_error(fd, value, size);
	return libc_getsockopt(fd, level, name, value, size);
}
