// SPDX-License-Identifier: Apache-2.0
/* gethostbyname2(3): of one family. */
#include <netdb.h>

#include "hostent.h"
#include "libc.h"

static struct hostent *shim_gethostbyname2(const char *name, int family)
{
	struct hostent *host;

	return hostent_lookup(name, family, &host) ? host : libc_gethostbyname2(name, family);
}

__attribute__((visibility("default"))) struct hostent *gethostbyname2(const char *name, int family)
{
	return shim_gethostbyname2(name, family);
}
