// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "kube/json_metadata.h"
#include "kube/json_read.h"

#define LABEL_PROXY_NAME    "service.kubernetes.io/service-proxy-name"
#define ANNOTATION_ATTEMPTS "k8slb.io/attempts"

/* core/v1 types.go: DefaultClientIPServiceAffinitySeconds and its range. */
#define AFFINITY_DEFAULT_S 10800
#define AFFINITY_MAX_S	   86400

static void add_cluster_ip(struct json_decoder *decoder, struct service *service, const char *text)
{
	if (service->cluster_ip_count == 2)
		json_gap(decoder, "more than two cluster IPs");
	else if (json_read_address(decoder, text, &service->cluster_ips[service->cluster_ip_count]))
		service->cluster_ip_count++;
}

/* The addresses are those of spec.ipFamilies, one by one; without any the single one (kube-proxy,
 * pkg/proxy/util/utils.go GetClusterIPByFamily). */
static void read_families(struct json_decoder *decoder, const cJSON *spec, const cJSON *ips,
			  struct service *service)
{
	const cJSON *list = json_get_array(decoder, spec, "spec.ipFamilies");
	const cJSON *item;
	const cJSON *ip = ips ? ips->child : NULL;

	cJSON_ArrayForEach (item, list) {
		if (!cJSON_IsString(item)) {
			json_bad(decoder, "spec.ipFamilies[] is not a string");
			return;
		}
		if (service->family_count < 2)
			service->families[service->family_count++] =
				strcmp(item->valuestring, "IPv6") == 0 ? IP_FAMILY_6 : IP_FAMILY_4;
		if (ip && !service->headless)
			add_cluster_ip(decoder, service, ip->valuestring);
		ip = ip ? ip->next : NULL;
	}
}

static void read_cluster_ips(struct json_decoder *decoder, const cJSON *spec,
			     struct service *service)
{
	const char *single = json_get_text(decoder, spec, "spec.clusterIP");
	const cJSON *list = json_get_array(decoder, spec, "spec.clusterIPs");
	const cJSON *item;

	cJSON_ArrayForEach (item, list) {
		if (!cJSON_IsString(item)) {
			json_bad(decoder, "spec.clusterIPs[] is not a string");
			return;
		}
	}
	service->headless = strcmp(single, "None") == 0;
	if (!*single)
		list = NULL;
	read_families(decoder, spec, list, service);
	if (*single && !service->headless && service->family_count == 0)
		add_cluster_ip(decoder, service, single);
}

static uint32_t read_affinity(struct json_decoder *decoder, const cJSON *spec)
{
	const cJSON *config = json_get_object(decoder, spec, "spec.sessionAffinityConfig");
	const cJSON *client =
		json_get_object(decoder, config, "spec.sessionAffinityConfig.clientIP");
	long seconds = AFFINITY_DEFAULT_S;

	if (strcmp(json_get_text(decoder, spec, "spec.sessionAffinity"), "ClientIP") != 0)
		return 0;
	json_is_integer(json_member(client, "timeoutSeconds"), 1, AFFINITY_MAX_S, &seconds);
	return (uint32_t)seconds;
}

static void read_service_ports(struct json_decoder *decoder, const cJSON *spec,
			       struct service *service)
{
	const cJSON *list = json_get_array(decoder, spec, "spec.ports");
	const cJSON *item;
	size_t count;

	if (!list || !list->child)
		return;
	count = (size_t)cJSON_GetArraySize(list);
	service->ports = calloc(count < LIMIT_PORTS ? count : LIMIT_PORTS, sizeof(*service->ports));
	if (!service->ports) {
		json_no_memory(decoder);
		return;
	}
	cJSON_ArrayForEach (item, list) {
		struct service_port *to;
		struct slice_port port;

		if (service->port_count == LIMIT_PORTS) {
			json_gap(decoder, "more than %u ports", LIMIT_PORTS);
			return;
		}
		to = &service->ports[service->port_count];
		if (!json_read_port(decoder, item, &port) || port.port == 0) {
			json_gap(decoder, JSON_BAD_PORT);
			continue;
		}
		memcpy(to->name, port.name, sizeof(to->name));
		to->protocol = port.protocol;
		to->port = port.port;
		service->port_count++;
	}
}

/* For who offers a Service and cannot reach all its clients. Other numbers are the clients' to set, by
 * K8SLB_ATTEMPTS; what is no text there is none of ours. */
static bool read_one_attempt(const cJSON *metadata)
{
	const cJSON *item =
		json_member(json_member(metadata, "annotations"), ANNOTATION_ATTEMPTS);

	return cJSON_IsString(item) && strcmp(item->valuestring, "1") == 0;
}

void json_read_service(struct json_decoder *decoder, const cJSON *root, const cJSON *metadata,
		       struct object *object)
{
	const cJSON *labels = json_get_object(decoder, metadata, "metadata.labels");
	const cJSON *spec = json_get_object(decoder, root, "spec");
	struct service *service = calloc(1, sizeof(*service));

	if (!service) {
		json_no_memory(decoder);
		return;
	}
	object->service = service;
	if (!spec)
		json_bad(decoder, "spec is missing");
	memcpy(service->namespace, object->namespace, sizeof(service->namespace));
	memcpy(service->name, object->name, sizeof(service->name)); /* a DNS label */
	service->other_proxy = json_member(labels, LABEL_PROXY_NAME) != NULL;
	service->one_attempt = read_one_attempt(metadata);
	service->external_name =
		strcmp(json_get_text(decoder, spec, "spec.type"), "ExternalName") == 0;
	service->internal_traffic_local =
		strcmp(json_get_text(decoder, spec, "spec.internalTrafficPolicy"), "Local") == 0;
	if (!service->external_name)
		read_cluster_ips(decoder, spec, service);
	service->affinity_timeout_s = read_affinity(decoder, spec);
	read_service_ports(decoder, spec, service);
}
