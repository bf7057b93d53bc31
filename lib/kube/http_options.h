/* What curl is told of every request: nothing of the program's surroundings counts, and one CA. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_HTTP_OPTIONS_H
#define K8SLB_KUBE_HTTP_OPTIONS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "kube/credentials.h"

/* @result is sticky, so that a list of options needs one look at the end. */
#define SET(result, easy, option, value) \
	((result) = (result) != CURLE_OK ? (result) : curl_easy_setopt((easy), (option), (value)))

/* Nothing of the program's surroundings may lead the request elsewhere. */
CURLcode http_isolate(CURL *easy, bool https);

/* A connection over which nothing comes any more, not even what TCP itself answers, fails within 45
 * s. curl has no option for the number of probes before 8.9, and none for the time. */
void http_notice_dead_flow(int fd);

/* Trusts the CA of the credentials (NULL: none) and no other. Without one @ret_problem says why
 * ("": none is configured), and the request must not be made; else it is left alone. */
CURLcode http_set_tls(CURL *easy, struct credentials *credentials, uint64_t now_ms,
		      const char **ret_problem);

#endif
