/* The API server's address, as the settings give it: checked, and whether a token may go there. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_HTTP_URL_H
#define K8SLB_KUBE_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>

struct http_url {
	char *text; /* without a slash at its end; the caller's to free() */
	bool https;
	bool loopback; /* ends at this machine whatever a resolver says */
};

/* "https://HOST:PORT/PREFIX", with no user, query or fragment. Returns 0, -EINVAL with the reason
 * in @error, or -ENOMEM. */
int http_url_read(const char *text, struct http_url *ret_url, char *error, size_t error_size);

#endif
