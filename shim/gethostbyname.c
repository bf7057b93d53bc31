// SPDX-License-Identifier: Apache-2.0
/* gethostbyname(3): always IPv4. */
#include <netdb.h>
#include <sys/socket.h>

#include "hostent.h"
#include "libc.h"

static struct hostent *shim_gethostbyname(const char *name)
{
	struct hostent *host;

	return hostent_lookup(name, AF_INET, &host) ? host : libc_gethostbyname(name);
}

__attribute__((visibility("default"))) struct hostent *gethostbyname(const char *name)
{
	return shim_gethostbyname(name);
}
