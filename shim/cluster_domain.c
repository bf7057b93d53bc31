// SPDX-License-Identifier: Apache-2.0
#include "cluster_domain.h"

#include <string.h>
#include <strings.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "config/config.h"

#define RESOLV_CONF_SIZE 4096 /* what glibc's own parser may miss beyond this we miss as well */

enum {
	DOMAIN_NEW,
	DOMAIN_READING,
	DOMAIN_READY,
};

static uint32_t phase;
static char found_domain[CLUSTER_DOMAIN_SIZE] = "cluster.local";

/* A domain name that is not longer than @size allows; without its trailing dot. */
static bool copy_domain(const char *text, size_t length, char *domain, size_t size)
{
	if (length > 0 && text[length - 1] == '.')
		length--;
	if (length == 0 || length >= size)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool inner = i > 0 && i + 1 < length;

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      ((c == '-' || c == '.') && inner)))
			return false;
	}
	memcpy(domain, text, length);
	domain[length] = '\0';
	return true;
}

bool cluster_domain_from_resolv_conf(const char *text, char *domain, size_t size)
{
	static const char keyword[] = "search";
	static const char blanks[] = " \t";
	bool found = false;

	/* resolv.conf(5): of several search lines the last one counts. */
	while (*text) {
		size_t line = strcspn(text, "\r\n");
		const char *end = text + line;
		const char *word = text + strlen(keyword);

		if (line > strlen(keyword) && strncmp(text, keyword, strlen(keyword)) == 0 &&
		    strchr(blanks, *word)) {
			found = false;
			for (word += strspn(word, blanks); word < end && !found;
			     word += strspn(word, blanks)) {
				size_t length = strcspn(word, " \t\r\n");

				if (length > 4 && strncasecmp(word, "svc.", 4) == 0)
					found = copy_domain(word + 4, length - 4, domain, size);
				word += length;
			}
		}
		text = end + strspn(end, "\r\n");
	}
	return found;
}

static void read_domain(void)
{
	struct config_source source = config_source_process();
	static char text[RESOLV_CONF_SIZE]; /* one thread reads, once; too much for a small stack */

	if (source.read_file(source.ctx, "/etc/resolv.conf", text, sizeof(text)) == 0)
		cluster_domain_from_resolv_conf(text, found_domain, sizeof(found_domain));
}

const char *cluster_domain(void)
{
	KEEP_ERRNO();

	if (claim_u32(&phase, DOMAIN_NEW, DOMAIN_READING)) {
		read_domain();
		publish_u32(&phase, DOMAIN_READY);
	}
	/* A thread that meets another one reading does not wait for it. */
	return observe_u32(&phase) == DOMAIN_READY ? found_domain : "cluster.local";
}
