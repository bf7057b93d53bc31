// SPDX-License-Identifier: Apache-2.0
#include "config/service_name.h"

#include <string.h>
#include <strings.h>

/* Writes @length bytes in lower case; false when they are not a DNS label. */
static bool copy_label(char *label, const char *text, size_t length)
{
	if (length >= DNS_LABEL_SIZE)
		return false;
	for (size_t i = 0; i < length; i++)
		label[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
	label[length] = '\0';
	return dns_label_valid(label);
}

/* @text is "svc" or "svc.<cluster_domain>", with or without a trailing dot. */
static bool is_service_suffix(const char *text, const char *cluster_domain)
{
	size_t length = strlen(text);
	size_t domain_length = strlen(cluster_domain);

	if (length > 0 && text[length - 1] == '.')
		length--;
	if (length < 3 || strncasecmp(text, "svc", 3) != 0)
		return false;
	if (length == 3)
		return true;
	return text[3] == '.' && length == 4 + domain_length &&
	       strncasecmp(text + 4, cluster_domain, domain_length) == 0;
}

bool service_name_match(const struct config *config, const char *cluster_domain, const char *host,
			struct service_name *ret_name)
{
	struct service_name name;
	size_t length = strcspn(host, ".");

	if (!copy_label(name.name, host, length))
		return false;
	host += length;
	if (!*host || !host[1]) {
		strcpy(name.namespace, config->namespace);
	} else {
		host++;
		length = strcspn(host, ".");
		if (!copy_label(name.namespace, host, length))
			return false;
		host += length;
		if (*host && host[1] && !is_service_suffix(host + 1, cluster_domain))
			return false;
	}
	if (!service_refs_cover(config->services, config->service_count, name.namespace, name.name))
		return false;
	*ret_name = name;
	return true;
}

bool pod_name_match(const struct config *config, const char *cluster_domain, const char *host,
		    struct service_name *ret_name, char ret_pod[DNS_LABEL_SIZE])
{
	size_t length = strcspn(host, ".");
	char pod[DNS_LABEL_SIZE];

	if (!host[length] || !copy_label(pod, host, length) ||
	    !service_name_match(config, cluster_domain, host + length + 1, ret_name))
		return false;
	strcpy(ret_pod, pod);
	return true;
}

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
