// SPDX-License-Identifier: Apache-2.0
#include "kube/http_url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"

/* A name that ends at this machine whatever the resolver says: curl answers localhost itself. */
static bool is_loopback(const char *host)
{
	static const struct ip_address loopback6 = {{[15] = 1}};
	struct ip_address ip;
	char text[64];
	size_t length = strlen(host);

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (length >= sizeof(text))
		return false;
	if (host[0] == '[' && host[length - 1] == ']')
		snprintf(text, sizeof(text), "%.*s", (int)(length - 2), host + 1);
	else
		snprintf(text, sizeof(text), "%s", host);
	if (ip_parse(text, &ip) < 0)
		return false;
	return ip_family_of(&ip) == IP_FAMILY_4 ? ip.bytes[12] == 127 : ip_equal(&ip, &loopback6);
}

/* Whether the URL has this part; it must not. */
static bool has_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool found = curl_url_get(url, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return found;
}

static int check(CURLU *url, const char *text, struct http_url *found, char *error,
		 size_t error_size)
{
	char *scheme = NULL, *host = NULL, *whole = NULL;
	CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
	int rc = -EINVAL;

	if (code == CURLUE_OUT_OF_MEMORY)
		return -ENOMEM;
	if (code != CURLUE_OK || curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK) {
		snprintf(error, error_size,
			 "not a URL: expected http:// or https://, host and port");
		goto out;
	}
	found->https = strcmp(scheme, "https") == 0;
	if (!found->https && strcmp(scheme, "http") != 0) {
		snprintf(error, error_size, "URL scheme %.20s: expected http or https", scheme);
		goto out;
	}
	if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD)) {
		snprintf(error, error_size, "URL with a user or password: expected a token file");
		goto out;
	}
	if (has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT)) {
		snprintf(error, error_size,
			 "URL with '?' or '#': expected host, port and path only");
		goto out;
	}
	found->loopback = is_loopback(host);
	found->text = strdup(whole);
	rc = found->text ? 0 : -ENOMEM;
	if (rc == 0) {
		size_t length = strlen(found->text);

		while (length && found->text[length - 1] == '/')
			found->text[--length] = '\0';
	}
out:
	curl_free(scheme);
	curl_free(host);
	curl_free(whole);
	return rc;
}

int http_url_read(const char *text, struct http_url *ret_url, char *error, size_t error_size)
{
	struct http_url found = {.text = NULL};
	CURLU *url = curl_url();
	int rc = url ? check(url, text, &found, error, error_size) : -ENOMEM;

	curl_url_cleanup(url);
	if (rc == 0)
		*ret_url = found;
	return rc;
}
