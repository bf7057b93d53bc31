// SPDX-License-Identifier: Apache-2.0
/* The name lookups of the k8slb command: no hooks to go past, no plugins of another libc. */
#include <nss.h>

#include "base/raw_calls.h"

/*
 * The command is linked statically, to run in every image. nsswitch.conf may name modules that
 * would be loaded into it together with the image's libc; files and dns are in our own.
 */
int k8slb_raw_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			  struct addrinfo **ret_list)
{
	__nss_configure_lookup("hosts", "files dns");
	return getaddrinfo(node, service, hints, ret_list);
}
