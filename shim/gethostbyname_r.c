// SPDX-License-Identifier: Apache-2.0
/* gethostbyname_r(3): always IPv4, into the caller's buffer. */
#include <netdb.h>
#include <sys/socket.h>

#include "hostent.h"
#include "libc.h"

static int shim_gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t size,
				struct hostent **ret_host, int *ret_h_errno)
{
	int rc;

	if (hostent_lookup_r(name, AF_INET, host, buffer, size, ret_host, ret_h_errno, &rc))
		return rc;
	return libc_gethostbyname_r(name, host, buffer, size, ret_host, ret_h_errno);
}

__attribute__((visibility("default"))) int gethostbyname_r(const char *name, struct hostent *host,
							   char *buffer, size_t size,
							   struct hostent **ret_host,
							   int *ret_h_errno)
{
	return shim_gethostbyname_r(name, host, buffer, size, ret_host, ret_h_errno);
}
