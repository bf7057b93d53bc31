// SPDX-License-Identifier: Apache-2.0
#include "pick/avoid.h"

bool avoid_was_tried(const struct table_endpoint *tried, unsigned tried_count,
		     const struct table_endpoint *endpoint)
{
	for (unsigned i = 0; i < tried_count; i++) {
		if (tried[i].port == endpoint->port &&
		    ip_equal(&tried[i].address, &endpoint->address))
			return true;
	}
	return false;
}

enum standing avoid_look(const struct avoidance *avoid, const struct table_endpoint *endpoint)
{
	if (avoid_was_tried(avoid->tried, avoid->tried_count, endpoint))
		return STANDING_TRIED;
	if (!avoid->health)
		return STANDING_GOOD;
	switch (health_look(avoid->health, health_key(endpoint), avoid->now_ms)) {
	case HEALTH_GOOD:
		return STANDING_GOOD;
	case HEALTH_EJECTED:
		return STANDING_EJECTED;
	case HEALTH_HALF_OPEN:
		break;
	}
	return avoid->half_open;
}

enum standing avoid_look_at(const struct avoidance *avoid, const struct table_read *read,
			    const struct table_port *port, uint32_t index)
{
	struct table_endpoint endpoint;

	if (table_port_endpoint(read, port, index, &endpoint) < 0)
		return STANDING_GOOD;
	return avoid_look(avoid, &endpoint);
}

void avoid_want(const struct avoidance *avoid, const struct table_endpoint *endpoint)
{
	if (avoid->is_probed)
		health_want(avoid->health, health_key(endpoint), avoid->now_ms);
}

bool avoid_claim_probe(const struct avoidance *avoid, const struct table_endpoint *endpoint)
{
	avoid_want(avoid, endpoint);
	if (avoid->is_probed)
		return false;
	return health_claim_probe(avoid->health, avoid->rules, health_key(endpoint), avoid->now_ms);
}

bool avoid_panics(const struct avoidance *avoid, const struct table_read *read,
		  const struct table_port *port)
{
	uint32_t half = port->endpoint_count / 2;
	uint32_t ejected = 0;

	/* There are not that many records. */
	if (half >= HEALTH_SLOTS)
		return false;
	for (uint32_t i = 0; i < port->endpoint_count; i++) {
		ejected += avoid_look_at(avoid, read, port, i) == STANDING_EJECTED;
		if (ejected > half)
			return true;
	}
	return false;
}
