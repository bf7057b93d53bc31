// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a DNS name of a certificate is for a host, as Go's crypto/x509 compares them: a "*" in
 * the place of the whole first label stands for any one label. curl's own function, which is taken
 * out of its archive (build), wants two dots behind it: a cluster may have *.local.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* The name is curl's. Neither has a NUL within; the host is a name, not an address. */
bool Curl_cert_hostcheck(const char *pattern, size_t pattern_size, const char *host,
			 size_t host_size);

bool Curl_cert_hostcheck(const char *pattern, size_t pattern_size, const char *host,
			 size_t host_size)
{
	if (host_size && host[host_size - 1] == '.')
		host_size--;
	if (pattern_size > 1 && pattern[0] == '*' && pattern[1] == '.') {
		const char *dot = memchr(host, '.', host_size);

		if (!dot || dot == host)
			return false;
		host_size -= (size_t)(dot - host);
		host = dot;
		pattern++;
		pattern_size--;
	}
	return host_size && host_size == pattern_size && strncasecmp(host, pattern, host_size) == 0;
}
