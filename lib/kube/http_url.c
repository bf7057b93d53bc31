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

/* Returns 0 with a text to curl_free(), -ENOENT or -ENOMEM, which must not look like -ENOENT: a
 * password would be overlooked. */
static int get_part(CURLU *url, CURLUPart part, char **ret_text)
{
	CURLUcode code = curl_url_get(url, part, ret_text, 0);

	if (code == CURLUE_OUT_OF_MEMORY)
		return -ENOMEM;
	return code == CURLUE_OK ? 0 : -ENOENT;
}

/* Returns 0, -EINVAL when the URL has one of these parts, or -ENOMEM. */
static int refuse_parts(CURLU *url, CURLUPart one, CURLUPart other)
{
	const CURLUPart parts[] = {one, other};

	for (unsigned i = 0; i < 2; i++) {
		char *text = NULL;
		int rc = get_part(url, parts[i], &text);

		curl_free(text);
		if (rc != -ENOENT)
			return rc == 0 ? -EINVAL : rc;
	}
	return 0;
}

static int check(CURLU *url, const char *text, struct http_url *found, char *error,
		 size_t error_size)
{
	char *scheme = NULL, *host = NULL, *whole = NULL;
	CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
	int rc = code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : code == CURLUE_OK ? 0 : -EINVAL;

	if (rc == 0)
		rc = get_part(url, CURLUPART_SCHEME, &scheme);
	if (rc == 0)
		rc = get_part(url, CURLUPART_HOST, &host);
	if (rc == 0)
		rc = get_part(url, CURLUPART_URL, &whole);
	if (rc < 0) {
		if (rc != -ENOMEM)
			snprintf(error, error_size,
				 "not a URL: expected http:// or https://, host and port");
		rc = rc == -ENOMEM ? rc : -EINVAL;
		goto out;
	}
	rc = -EINVAL;
	found->https = strcmp(scheme, "https") == 0;
	if (!found->https && strcmp(scheme, "http") != 0) {
		snprintf(error, error_size, "URL scheme %.20s: expected http or https", scheme);
		goto out;
	}
	rc = refuse_parts(url, CURLUPART_USER, CURLUPART_PASSWORD);
	if (rc == -EINVAL)
		snprintf(error, error_size, "URL with a user or password: expected a token file");
	if (rc < 0)
		goto out;
	rc = refuse_parts(url, CURLUPART_QUERY, CURLUPART_FRAGMENT);
	if (rc == -EINVAL)
		snprintf(error, error_size,
			 "URL with '?' or '#': expected host, port and path only");
	if (rc < 0)
		goto out;
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
