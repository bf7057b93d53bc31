// SPDX-License-Identifier: Apache-2.0
/* gethostbyname2_r(3): of one family, into the caller's buffer. */
#include <netdb.h>

#include "hostent.h"
#include "libc.h"

static int shim_gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer,
				 size_t size, struct hostent **ret_host, int *ret_h_errno)
{
	int rc;

	if (hostent_lookup_r(name, family, host, buffer, size, ret_host, ret_h_errno, &rc))
		return rc;
	return libc_gethostbyname2_r(name, family, host, buffer, size, ret_host, ret_h_errno);
}

__attribute__((visibility("default"))) int gethostbyname2_r(const char *name, int family,
							    struct hostent *host, char *buffer,
							    size_t size, struct hostent **ret_host,
							    int *ret_h_errno)
{
	return shim_gethostbyname2_r(name, family, host, buffer, size, ret_host, ret_h_errno);
}
