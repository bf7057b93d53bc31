// SPDX-License-Identifier: Apache-2.0
#include "asked.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#define READ_TRIES 8

/* ---- Addresses and ports ---- */

bool asked_could_match(const struct config *config, const struct ip_address *ip, uint16_t port)
{
	if (ip_never_cluster(ip))
		return false;
	for (unsigned i = 0; i < config->service_count; i++) {
		const struct service_ref *ref = &config->services[i];

		if (ref->has_vip) {
			if (ip_equal(&ref->vip, ip) &&
			    port == (ref->vip_port ? ref->vip_port : ref->port))
				return true;
		} else if (!ref->port || ref->port == port) {
			return true;
		}
	}
	return false;
}

/* An entry that asks for all there is spares the strings. */
static bool covers_all(const struct config *config)
{
	for (unsigned i = 0; i < config->service_count; i++) {
		const struct service_ref *ref = &config->services[i];

		if (strcmp(ref->namespace, "*") == 0 && strcmp(ref->name, "*") == 0 && !ref->port &&
		    !ref->port_name[0])
			return true;
	}
	return false;
}

bool asked_covers_port(const struct config *config, const struct table_read *read,
		       const char *namespace, const char *name, const struct table_port *port)
{
	char port_name[DNS_LABEL_SIZE];

	if (covers_all(config))
		return true;
	if (table_text(read, port->name_at, port_name, sizeof(port_name)) < 0)
		port_name[0] = '\0';
	return service_refs_cover_port(config->services, config->service_count, namespace, name,
				       port_name, port->port);
}

static bool covers_found(const struct config *config, const struct table_read *read,
			 const struct table_port *port)
{
	struct table_service service;
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];

	if (table_service_at(read, port->service, &service) < 0 ||
	    table_text(read, service.namespace_at, namespace, sizeof(namespace)) < 0 ||
	    table_text(read, service.name_at, name, sizeof(name)) < 0)
		return false;
	return asked_covers_port(config, read, namespace, name, port);
}

bool asked_covers_vip(const struct config *config, const struct table_view *view,
		      const struct ip_address *vip, uint16_t port)
{
	if (covers_all(config))
		return true;
	for (int i = 0; i < READ_TRIES; i++) {
		struct table_read read;
		struct table_port found;
		bool covered;

		if (table_read_begin(view, &read) < 0)
			continue;
		covered = table_find_vip(&read, vip, port, IPPROTO_TCP, &found) == 0 &&
			  covers_found(config, &read, &found);
		if (table_read_valid(&read))
			return covered;
	}
	return false;
}

/* ---- Names ---- */

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

bool asked_service(const struct config *config, const char *cluster_domain, const char *host,
		   struct asked_name *ret_name)
{
	struct asked_name name = {.pod = ""};
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

bool asked_pod(const struct config *config, const char *cluster_domain, const char *host,
	       struct asked_name *ret_name)
{
	size_t length = strcspn(host, ".");
	char pod[DNS_LABEL_SIZE];

	if (!host[length] || !copy_label(pod, host, length) ||
	    !asked_service(config, cluster_domain, host + length + 1, ret_name))
		return false;
	strcpy(ret_name->pod, pod);
	return true;
}
