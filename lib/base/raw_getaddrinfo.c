// SPDX-License-Identifier: Apache-2.0
/* By itself: the k8slb command, without hooks and static, has another (cli/raw_getaddrinfo.c). */
#include <dlfcn.h>

#include "base/raw_calls.h"

int k8slb_raw_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			  struct addrinfo **ret_list)
{
	union {
		void *object;
		int (*call)(const char *, const char *, const struct addrinfo *,
			    struct addrinfo **);
	} next = {dlsym(RTLD_NEXT, "getaddrinfo")};

	return next.object ? next.call(node, service, hints, ret_list) : EAI_SYSTEM;
}
