// SPDX-License-Identifier: Apache-2.0
#include "kube/http_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/raw_calls.h"

/*
 * A dead flow behind a silent watch is found after 30 s and three probes. Where TCP_USER_TIMEOUT is
 * set it is that which counts in the place of the third probe (tcp_keepalive_timer() of
 * net/ipv4/tcp_timer.c); and what was sent and is not acknowledged must not take longer. 5 s less
 * than 45 s, because the kernel rounds such long timers up: 46.5 s were seen without that.
 */
#define KEEPALIVE_IDLE_S     30
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_PROBES     3
#define USER_TIMEOUT_MS	     40000

/* The build may have left out the very thing that is switched off here. */
#define SET_IF_BUILT(result, easy, option, value)   \
	((result) = (result) != CURLE_OK ? (result) \
					 : if_built(curl_easy_setopt((easy), (option), (value))))

static CURLcode if_built(CURLcode result)
{
	return result == CURLE_UNKNOWN_OPTION || result == CURLE_NOT_BUILT_IN ? CURLE_OK : result;
}

CURLcode http_isolate(CURL *easy, bool https)
{
	CURLcode result = CURLE_OK;

	SET(result, easy, CURLOPT_NOSIGNAL, 1L);
	/* Both, so that no proxy variable is asked for: a getenv() races with setenv(). */
	SET_IF_BUILT(result, easy, CURLOPT_PROXY, "");
	SET_IF_BUILT(result, easy, CURLOPT_NOPROXY, "*");
	SET_IF_BUILT(result, easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(result, easy, CURLOPT_PROTOCOLS_STR, https ? "https" : "http");
	SET(result, easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(result, easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* A name is asked for anew for each connection: the last one may have ended because its
	 * address is another's now. */
	SET(result, easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	return result;
}

void http_notice_dead_flow(int fd)
{
	static const struct {
		int level;
		int name;
		int value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
		{IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		k8slb_raw_setsockopt(fd, options[i].level, options[i].name, &options[i].value,
				     sizeof(options[i].value));
}

/* curl copies the text. @data is NUL-terminated behind @size. */
static CURLcode set_blob(CURL *easy, CURLoption option, const char *data, size_t size)
{
	struct curl_blob blob = {
		.data = (void *)(uintptr_t)data, .len = size, .flags = CURL_BLOB_COPY};

	return curl_easy_setopt(easy, option, &blob);
}

CURLcode http_set_tls(CURL *easy, struct credentials *credentials, uint64_t now_ms,
		      const char **ret_problem)
{
	size_t ca_size = 0, cert_size = 0, key_size = 0;
	const char *ca = credentials ? credentials_ca(credentials, now_ms, &ca_size) : NULL;
	const char *cert = credentials ? credentials_cert(credentials, now_ms, &cert_size) : NULL;
	const char *key = credentials ? credentials_key(credentials, now_ms, &key_size) : NULL;
	CURLcode result = CURLE_OK;

	if (!ca) {
		*ret_problem = credentials ? credentials_problem(credentials) : "";
		return CURLE_OK;
	}
	SET(result, easy, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(result, easy, CURLOPT_SSL_VERIFYHOST, 2L);
	SET_IF_BUILT(result, easy, CURLOPT_CAINFO, NULL);
	SET_IF_BUILT(result, easy, CURLOPT_CAPATH, NULL);
	SET_IF_BUILT(result, easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	if (result == CURLE_OK)
		result = set_blob(easy, CURLOPT_CAINFO_BLOB, ca, ca_size);
	if (!cert || !key)
		return result;
	SET(result, easy, CURLOPT_SSLCERTTYPE, "PEM");
	SET(result, easy, CURLOPT_SSLKEYTYPE, "PEM");
	if (result == CURLE_OK)
		result = set_blob(easy, CURLOPT_SSLCERT_BLOB, cert, cert_size);
	/* With its NUL: a system's libcurl on Mbed TLS hands it on as it is, and that wants one. */
	if (result == CURLE_OK)
		result = set_blob(easy, CURLOPT_SSLKEY_BLOB, key, key_size + 1);
	return result;
}
