// SPDX-License-Identifier: Apache-2.0
#include "pipeline/location.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/raw_calls.h"
#include "base/read_file.h"
#include "kube/file.h"

#define LABELS_FILE "/etc/podinfo/labels"
#define ZONE_LABEL  "topology.kubernetes.io/zone=\""
/* All labels of a Pod fit: an object is at most 1.5 MiB in etcd, its labels far less. */
#define LABELS_LIMIT (256 * 1024)
/* More mounts than any Pod has. */
#define MOUNTS_LIMIT (1024 * 1024)
#define UID_LONGEST  64

static void read_own_addresses(struct location *location)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return;
	for (struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
		struct ip_address ip;
		socklen_t size;
		uint16_t port;

		if (!entry->ifa_addr || location->own_count == LOCATION_ADDRESSES)
			continue;
		size = entry->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
							     : sizeof(struct sockaddr_in6);
		if (sockaddr_read(entry->ifa_addr, size, &ip, &port) == 0 && !ip_never_cluster(&ip))
			location->own[location->own_count++] = ip;
	}
	freeifaddrs(list);
}

/* A downward API file has one KEY="VALUE" a line. */
static void read_zone_label(struct location *location)
{
	struct buffer labels = {.limit = LABELS_LIMIT};

	if (file_read(LABELS_FILE, &labels) == 0 && labels.data) {
		const char *value = strstr(labels.data, ZONE_LABEL);

		/* At the start of a line, not within another label's name. */
		while (value && value != labels.data && value[-1] != '\n')
			value = strstr(value + 1, ZONE_LABEL);
		if (value) {
			value += strlen(ZONE_LABEL);
			snprintf(location->zone, sizeof(location->zone), "%.*s",
				 (int)strcspn(value, "\"\n"), value);
		}
	}
	buffer_free(&labels);
}

/* "... ROOT /etc/hosts ...", where ROOT ends in "/pods/UID/etc-hosts" (proc_pid_mountinfo(5)). */
static void read_pod_uid(struct location *location)
{
	static const char file[] = "/etc-hosts /etc/hosts ";
	static const char folder[] = "/pods/";
	struct buffer mounts = {.limit = MOUNTS_LIMIT};
	char uid[UID_LONGEST + 1];
	int fd = file_open("/proc/self/mountinfo");
	const char *end = NULL;
	const char *start;

	if (fd >= 0 && file_append(fd, &mounts) == 0 && mounts.data)
		end = strstr(mounts.data, file);
	if (fd >= 0)
		k8slb_raw_close(fd);
	start = end;
	while (start && start > mounts.data && start[-1] != '/')
		start--;
	if (start && start - mounts.data >= (long)strlen(folder) &&
	    strncmp(start - strlen(folder), folder, strlen(folder)) == 0 && start < end &&
	    end - start <= UID_LONGEST) {
		snprintf(uid, sizeof(uid), "%.*s", (int)(end - start), start);
		location->pod_uid_hash = hash_text(0, uid);
		location->pod_uid_hash += location->pod_uid_hash == 0; /* 0 says: none */
	}
	buffer_free(&mounts);
}

static void read_hosts_header(struct location *location)
{
	static const char header[] = "# Kubernetes-managed hosts file (host network).\n";
	char text[sizeof(header)];
	int fd = file_open("/etc/hosts");

	if (fd < 0)
		return;
	location->host_network = file_fill(fd, text, strlen(header)) == (ssize_t)strlen(header) &&
				 memcmp(text, header, strlen(header)) == 0;
	k8slb_raw_close(fd);
}

void location_init(struct location *location, const struct select_location *given)
{
	struct utsname host;

	memset(location, 0, sizeof(*location));
	location->where = (struct select_location){.node = location->node, .zone = location->zone};
	snprintf(location->node, sizeof(location->node), "%s", given->node);
	snprintf(location->zone, sizeof(location->zone), "%s", given->zone);
	location->node_given = location->node[0];
	if (location->node_given)
		strcpy(location->node_evidence, "as set");
	if (location->zone[0]) {
		strcpy(location->zone_evidence, "as set");
	} else {
		read_zone_label(location);
		if (location->zone[0])
			strcpy(location->zone_evidence, "by " LABELS_FILE);
	}
	location->zone_given = location->zone[0];
	if (location->node_given)
		return;
	read_own_addresses(location);
	read_pod_uid(location);
	read_hosts_header(location);
	if (uname(&host) == 0)
		snprintf(location->hostname, sizeof(location->hostname), "%s", host.nodename);
}

static bool has_own_address(const struct location *location, const struct slice_endpoint *endpoint)
{
	for (unsigned i = 0; i < location->own_count; i++) {
		if (ip_equal(&location->own[i], &endpoint->address))
			return true;
	}
	return false;
}

/*
 * The kubelet makes a Pod's host name of its name where the Pod gives none: cut to 63 bytes and
 * without dashes and dots at the end (truncatePodHostnameIfNeeded()), and the whole domain name
 * behind it with setHostnameAsFQDN.
 */
static bool is_host_name_of(const char *hostname, const char *pod)
{
	size_t length = strlen(pod);

	if (length >= DNS_LABEL_SIZE)
		length = DNS_LABEL_SIZE - 1;
	while (length > 0 && length < strlen(pod) && strchr("-.", pod[length - 1]))
		length--;
	return length > 0 && strncmp(hostname, pod, length) == 0 &&
	       (!hostname[length] || (hostname[length] == '.' && strstr(hostname, ".svc.")));
}

/* Writes into @evidence how @endpoint proves its node to be ours. */
static bool proves_node(const struct location *location, const struct slice_endpoint *endpoint,
			char *evidence, size_t size)
{
	bool by_uid = location->pod_uid_hash && endpoint->target_uid_hash == location->pod_uid_hash;
	char address[IP_TEXT_SIZE];

	if (!endpoint->node_name[0] || endpoint->terminating)
		return false;
	if (has_own_address(location, endpoint) &&
	    (by_uid || is_host_name_of(location->hostname, endpoint->target_name))) {
		ip_format(&endpoint->address, address, sizeof(address));
		snprintf(evidence, size, "endpoint %s is Pod %s/%s, this one by its %s", address,
			 endpoint->target_namespace, endpoint->target_name,
			 by_uid ? "uid" : "name");
		return true;
	}
	if (location->host_network && strcmp(endpoint->node_name, location->hostname) == 0) {
		snprintf(evidence, size, "the host's name, on the host's network");
		return true;
	}
	return false;
}

/* Returns true when what is known of the node changed. */
static bool observe_node(struct location *location, const struct slice_endpoint *endpoint)
{
	char evidence[LOCATION_EVIDENCE_SIZE];

	if (location->node_given || location->ambiguous ||
	    strcmp(location->node, endpoint->node_name) == 0 ||
	    !proves_node(location, endpoint, evidence, sizeof(evidence)))
		return false;
	if (!location->node[0]) {
		snprintf(location->node, sizeof(location->node), "%s", endpoint->node_name);
		strcpy(location->node_evidence, evidence);
		return true;
	}
	/* What proves two nodes proves none: no place is better than a wrong one. */
	location->ambiguous = true;
	location->node[0] = '\0';
	location->node_evidence[0] = '\0';
	if (!location->zone_given) {
		location->zone[0] = '\0';
		location->zone_evidence[0] = '\0';
	}
	return true;
}

static bool observe_zone(struct location *location, const struct slice_endpoint *endpoint)
{
	char address[IP_TEXT_SIZE];

	if (location->zone[0] || !location->node[0] || !endpoint->zone[0] ||
	    strcmp(location->node, endpoint->node_name) != 0)
		return false;
	snprintf(location->zone, sizeof(location->zone), "%s", endpoint->zone);
	ip_format(&endpoint->address, address, sizeof(address));
	snprintf(location->zone_evidence, sizeof(location->zone_evidence),
		 "endpoint %s on this node has it", address);
	return true;
}

bool location_observe(struct location *location, const struct service_state *state)
{
	bool changed = false;

	if ((location->node_given || location->ambiguous) &&
	    (location->zone[0] || !location->node[0]))
		return false;
	for (unsigned s = 0; s < state->slice_count; s++) {
		const struct endpoint_slice *slice = state->slices[s];

		for (unsigned e = 0; e < slice->endpoint_count; e++) {
			changed |= observe_node(location, &slice->endpoints[e]);
			changed |= observe_zone(location, &slice->endpoints[e]);
		}
	}
	return changed;
}
