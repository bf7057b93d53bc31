// SPDX-License-Identifier: Apache-2.0
#include "pipeline/place.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "kube/file.h"

#define LABELS_FILE "/etc/podinfo/labels"
#define ZONE_LABEL  "topology.kubernetes.io/zone=\""
/* All labels of a Pod fit: an object is at most 1.5 MiB in etcd, its labels far less. */
#define LABELS_LIMIT (256 * 1024)

static void read_own_addresses(struct place *place)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return;
	for (struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
		struct ip_address ip;
		socklen_t size;
		uint16_t port;

		if (!entry->ifa_addr || place->own_count == PLACE_ADDRESSES)
			continue;
		size = entry->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
							     : sizeof(struct sockaddr_in6);
		if (sockaddr_read(entry->ifa_addr, size, &ip, &port) == 0 && !ip_never_cluster(&ip))
			place->own[place->own_count++] = ip;
	}
	freeifaddrs(list);
}

/* A downward API file has one KEY="VALUE" a line. */
static void read_zone_label(struct place *place)
{
	struct buffer labels = {.limit = LABELS_LIMIT};

	if (file_read(LABELS_FILE, &labels) == 0 && labels.data) {
		const char *value = strstr(labels.data, ZONE_LABEL);

		/* At the start of a line, not within another label's name. */
		while (value && value != labels.data && value[-1] != '\n')
			value = strstr(value + 1, ZONE_LABEL);
		if (value) {
			value += strlen(ZONE_LABEL);
			snprintf(place->zone, sizeof(place->zone), "%.*s",
				 (int)strcspn(value, "\"\n"), value);
		}
	}
	buffer_free(&labels);
}

void place_init(struct place *place, const struct select_place *given)
{
	struct utsname host;

	memset(place, 0, sizeof(*place));
	place->where = (struct select_place){.node = place->node, .zone = place->zone};
	snprintf(place->node, sizeof(place->node), "%s", given->node);
	snprintf(place->zone, sizeof(place->zone), "%s", given->zone);
	if (!place->zone[0])
		read_zone_label(place);
	place->node_given = place->node[0];
	place->zone_given = place->zone[0];
	if (place->node_given)
		return;
	read_own_addresses(place);
	if (uname(&host) == 0)
		snprintf(place->hostname, sizeof(place->hostname), "%s", host.nodename);
}

static bool is_on_our_node(const struct place *place, const struct slice_endpoint *endpoint)
{
	if (place->hostname[0] && strcmp(endpoint->node_name, place->hostname) == 0)
		return true;
	for (unsigned i = 0; i < place->own_count; i++) {
		if (ip_equal(&place->own[i], &endpoint->address))
			return true;
	}
	return false;
}

/* Returns true when what is known of the node changed. */
static bool observe_node(struct place *place, const struct slice_endpoint *endpoint)
{
	if (place->node_given || place->ambiguous || !endpoint->node_name[0] ||
	    !is_on_our_node(place, endpoint) || strcmp(place->node, endpoint->node_name) == 0)
		return false;
	if (!place->node[0]) {
		snprintf(place->node, sizeof(place->node), "%s", endpoint->node_name);
		return true;
	}
	/* Who holds addresses of two nodes is no Pod: no place is better than a wrong one. */
	place->ambiguous = true;
	place->node[0] = '\0';
	if (!place->zone_given)
		place->zone[0] = '\0';
	return true;
}

static bool observe_zone(struct place *place, const struct slice_endpoint *endpoint)
{
	if (place->zone[0] || !place->node[0] || !endpoint->zone[0] ||
	    strcmp(place->node, endpoint->node_name) != 0)
		return false;
	snprintf(place->zone, sizeof(place->zone), "%s", endpoint->zone);
	return true;
}

bool place_observe(struct place *place, const struct service_state *state)
{
	bool changed = false;

	if ((place->node_given || place->ambiguous) && (place->zone[0] || !place->node[0]))
		return false;
	for (unsigned s = 0; s < state->slice_count; s++) {
		const struct endpoint_slice *slice = state->slices[s];

		for (unsigned e = 0; e < slice->endpoint_count; e++) {
			changed |= observe_node(place, &slice->endpoints[e]);
			changed |= observe_zone(place, &slice->endpoints[e]);
		}
	}
	return changed;
}
