// SPDX-License-Identifier: Apache-2.0
#include "cluster_domain.h"

#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "config/config.h"
#include "config/service_name.h"

#define RESOLV_CONF_SIZE 4096 /* what glibc's own parser may miss beyond this we miss as well */

enum {
	DOMAIN_NEW,
	DOMAIN_READING,
	DOMAIN_READY,
};

static uint32_t phase;
static char found_domain[CLUSTER_DOMAIN_SIZE] = "cluster.local";

static void read_domain(void)
{
	struct config_source source = config_source_process();
	static char text[RESOLV_CONF_SIZE]; /* one thread reads, once; too much for a small stack */

	if (source.read_file(source.ctx, "/etc/resolv.conf", text, sizeof(text)) == 0)
		cluster_domain_from_resolv_conf(text, found_domain, sizeof(found_domain));
}

const char *cluster_domain(void)
{
	int saved_errno = errno;

	if (claim_u32(&phase, DOMAIN_NEW, DOMAIN_READING)) {
		read_domain();
		publish_u32(&phase, DOMAIN_READY);
	}
	errno = saved_errno;
	/* A thread that meets another one reading does not wait for it. */
	return observe_u32(&phase) == DOMAIN_READY ? found_domain : "cluster.local";
}
