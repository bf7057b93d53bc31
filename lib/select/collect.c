// SPDX-License-Identifier: Apache-2.0
#include "select/collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned tcp_port_count(const struct endpoint_slice *slice)
{
	unsigned count = 0;

	for (unsigned i = 0; i < slice->port_count; i++)
		count += slice->ports[i].protocol == PROTOCOL_TCP && slice->ports[i].port != 0;
	return count;
}

/* @port of @slice serves @wanted. */
static bool port_matches(const struct endpoint_slice *slice, const struct slice_port *port,
			 const struct service *service, const struct selected_port *wanted)
{
	if (port->protocol != wanted->protocol || port->port == 0)
		return false;
	if (strcmp(port->name, wanted->name) == 0)
		return true;
	/* A made-up Service knows a number and perhaps no name: a slice's only port, or the one
	 * with that number, must be meant. */
	return service->made_up && !wanted->name[0] &&
	       (tcp_port_count(slice) == 1 || port->port == wanted->port);
}

/* Port number @p of @slice serves @wanted, and none before it is the same. */
static bool counts_port(const struct endpoint_slice *slice, unsigned p,
			const struct service *service, const struct selected_port *wanted)
{
	if (!port_matches(slice, &slice->ports[p], service, wanted))
		return false;
	for (unsigned before = 0; before < p; before++) {
		if (slice->ports[before].port == slice->ports[p].port &&
		    port_matches(slice, &slice->ports[before], service, wanted))
			return false;
	}
	return true;
}

static bool slice_counts(const struct endpoint_slice *slice, const struct service *service,
			 enum ip_family family)
{
	if (slice->fqdn || slice->family != family)
		return false;
	/* kube-proxy does not see slices of headless Services; for names they are all there is. */
	return !slice->headless || service->headless;
}

/* An endpoint behind one port of one slice. */
struct candidate {
	struct selected_endpoint endpoint;
	unsigned slice;
	unsigned position; /* within the slice */
};

static int compare_keys(const struct candidate *a, const struct candidate *b)
{
	int order = memcmp(a->endpoint.address.bytes, b->endpoint.address.bytes,
			   sizeof(a->endpoint.address.bytes));

	return order ? order : (int)a->endpoint.port - (int)b->endpoint.port;
}

static int compare_unsigned(unsigned a, unsigned b)
{
	return (a > b) - (a < b);
}

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *left = a;
	const struct candidate *right = b;
	int order = compare_keys(left, right);

	if (order == 0)
		order = compare_unsigned(left->slice, right->slice);
	return order ? order : compare_unsigned(left->position, right->position);
}

/* Lowest is best. */
static int rank(const struct slice_endpoint *endpoint, const char *node)
{
	bool local = node[0] && strcmp(endpoint->node_name, node) == 0;

	return (endpoint->terminating ? 8 : 0) + (local ? 0 : 4) + (endpoint->ready ? 0 : 2) +
	       (endpoint->serving ? 0 : 1);
}

static int compare_hints(const char *const *a, unsigned a_count, const char *const *b,
			 unsigned b_count)
{
	for (unsigned i = 0; i < a_count && i < b_count; i++) {
		int order = strcmp(a[i], b[i]);

		if (order)
			return order;
	}
	return compare_unsigned(a_count, b_count);
}

/* Any order will do that depends on nothing but the content. */
static int compare_content(const struct slice_endpoint *a, const struct slice_endpoint *b)
{
	int order = strcmp(a->target_namespace, b->target_namespace);

	if (order == 0)
		order = strcmp(a->target_name, b->target_name);
	if (order == 0)
		order = strcmp(a->node_name, b->node_name);
	if (order == 0)
		order = strcmp(a->zone, b->zone);
	if (order == 0)
		order = compare_hints(a->zone_hints, a->zone_hint_count, b->zone_hints,
				      b->zone_hint_count);
	if (order == 0)
		order = compare_hints(a->node_hints, a->node_hint_count, b->node_hints,
				      b->node_hint_count);
	return order;
}

/*
 * Which of two endpoints with one address and port is kept, @first or the later @second (kube-proxy
 * 1.37, endpointslicecache.go, addEndpoints): one that does not terminate, since the address of a
 * pod that goes may already be another's; in one slice the last such one, or the first of all that
 * terminate. Between slices its answer depends on the order of a map otherwise; ours must not.
 */
static bool second_wins(const struct candidate *first, const struct candidate *second,
			const char *node)
{
	const struct slice_endpoint *a = first->endpoint.endpoint;
	const struct slice_endpoint *b = second->endpoint.endpoint;
	int order;

	if (first->slice == second->slice)
		return !b->terminating;
	order = rank(a, node) - rank(b, node);
	if (order == 0)
		order = compare_content(a, b);
	return order > 0;
}

/* Returns 0 or -E2BIG: a product of two counts from outside, summed up. */
static int count_candidates(const struct service_state *state, const struct service *service,
			    const struct selected_port *wanted, size_t room, size_t *ret_count)
{
	size_t count = 0;

	for (unsigned s = 0; s < state->slice_count; s++) {
		const struct endpoint_slice *slice = state->slices[s];
		size_t ports = wanted->addresses;
		size_t more;

		if (!slice_counts(slice, service, wanted->family))
			continue;
		for (unsigned p = 0; !wanted->addresses && p < slice->port_count; p++)
			ports += counts_port(slice, p, service, wanted);
		if (__builtin_mul_overflow(ports, (size_t)slice->endpoint_count, &more) ||
		    more > room - count)
			return -E2BIG;
		count += more;
	}
	*ret_count = count;
	return 0;
}

static void add_slice_port(const struct endpoint_slice *slice, unsigned slice_index, uint16_t port,
			   struct candidate *found, size_t *count)
{
	for (unsigned e = 0; e < slice->endpoint_count; e++) {
		found[*count] = (struct candidate){
			.endpoint =
				{
					.address = slice->endpoints[e].address,
					.port = port,
					.endpoint = &slice->endpoints[e],
				},
			.slice = slice_index,
			.position = e,
		};
		++*count;
	}
}

static void find_candidates(const struct service_state *state, const struct service *service,
			    const struct selected_port *wanted, struct candidate *found)
{
	size_t count = 0;

	for (unsigned s = 0; s < state->slice_count; s++) {
		const struct endpoint_slice *slice = state->slices[s];

		if (!slice_counts(slice, service, wanted->family))
			continue;
		if (wanted->addresses)
			add_slice_port(slice, s, 0, found, &count);
		for (unsigned p = 0; !wanted->addresses && p < slice->port_count; p++) {
			if (counts_port(slice, p, service, wanted))
				add_slice_port(slice, s, slice->ports[p].port, found, &count);
		}
	}
}

/* Each address and port once. First the winner of each slice, then the best of those winners:
 * @found is sorted by key, slice and position. */
static void keep_winners(const struct candidate *found, size_t count, const char *node,
			 struct selected_port *port)
{
	size_t i = 0;

	while (i < count) {
		size_t key = i;
		const struct candidate *best = NULL;

		while (i < count && compare_keys(&found[key], &found[i]) == 0) {
			const struct candidate *winner = &found[i];
			unsigned slice = found[i].slice;

			for (i++; i < count && found[i].slice == slice &&
				  compare_keys(winner, &found[i]) == 0;
			     i++) {
				if (second_wins(winner, &found[i], node))
					winner = &found[i];
			}
			if (!best || second_wins(best, winner, node))
				best = winner;
		}
		port->endpoints[port->endpoint_count++] = best->endpoint;
	}
}

int collect_endpoints(const struct service_state *state, const struct service *service,
		      const char *node, size_t room, struct selected_port *port)
{
	struct candidate *found;
	size_t count;
	int rc = count_candidates(state, service, port, room, &count);

	if (rc < 0 || count == 0)
		return rc;
	found = calloc(count, sizeof(*found));
	port->endpoints = calloc(count, sizeof(port->endpoints[0]));
	if (!found || !port->endpoints) {
		free(found);
		free(port->endpoints);
		port->endpoints = NULL;
		return -ENOMEM;
	}
	find_candidates(state, service, port, found);
	qsort(found, count, sizeof(*found), compare_candidates);
	keep_winners(found, count, node, port);
	free(found);
	return 0;
}
