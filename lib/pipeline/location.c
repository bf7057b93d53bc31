// SPDX-License-Identifier: Apache-2.0
#include "pipeline/location.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "kube/file.h"

#define LABELS_FILE "/etc/podinfo/labels"
#define ZONE_LABEL  "topology.kubernetes.io/zone=\""
/* All labels of a Pod fit: an object is at most 1.5 MiB in etcd, its labels far less. */
#define LABELS_LIMIT (256 * 1024)

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

void location_init(struct location *location, const struct select_location *given)
{
	struct utsname host;

	memset(location, 0, sizeof(*location));
	location->where = (struct select_location){.node = location->node, .zone = location->zone};
	snprintf(location->node, sizeof(location->node), "%s", given->node);
	snprintf(location->zone, sizeof(location->zone), "%s", given->zone);
	if (!location->zone[0])
		read_zone_label(location);
	location->node_given = location->node[0];
	location->zone_given = location->zone[0];
	if (location->node_given)
		return;
	read_own_addresses(location);
	if (uname(&host) == 0)
		snprintf(location->hostname, sizeof(location->hostname), "%s", host.nodename);
}

static bool is_on_our_node(const struct location *location, const struct slice_endpoint *endpoint)
{
	if (location->hostname[0] && strcmp(endpoint->node_name, location->hostname) == 0)
		return true;
	for (unsigned i = 0; i < location->own_count; i++) {
		if (ip_equal(&location->own[i], &endpoint->address))
			return true;
	}
	return false;
}

/* Returns true when what is known of the node changed. */
static bool observe_node(struct location *location, const struct slice_endpoint *endpoint)
{
	if (location->node_given || location->ambiguous || !endpoint->node_name[0] ||
	    !is_on_our_node(location, endpoint) || strcmp(location->node, endpoint->node_name) == 0)
		return false;
	if (!location->node[0]) {
		snprintf(location->node, sizeof(location->node), "%s", endpoint->node_name);
		return true;
	}
	/* Who holds addresses of two nodes is no Pod: no place is better than a wrong one. */
	location->ambiguous = true;
	location->node[0] = '\0';
	if (!location->zone_given)
		location->zone[0] = '\0';
	return true;
}

static bool observe_zone(struct location *location, const struct slice_endpoint *endpoint)
{
	if (location->zone[0] || !location->node[0] || !endpoint->zone[0] ||
	    strcmp(location->node, endpoint->node_name) != 0)
		return false;
	snprintf(location->zone, sizeof(location->zone), "%s", endpoint->zone);
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
