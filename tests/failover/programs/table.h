/* A table of the Service "web" before the first connection: one that is not to block waits for it for a moment only. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_TABLE_H
#define K8SLB_TESTS_TABLE_H

#include <netdb.h>

/* A lookup waits for it. Under the library alone: else it asks a DNS server that is not there. */
static inline void wait_for_table(void)
{
	gethostbyname("web");
}

#endif
