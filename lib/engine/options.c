// SPDX-License-Identifier: Apache-2.0
#include "engine/options.h"

static enum syncer_discovery discovery_of(const struct config *config)
{
	switch (config->discovery) {
	case DISCOVERY_ENDPOINT_SLICES:
		return SYNCER_ENDPOINT_SLICES;
	case DISCOVERY_ENDPOINTS:
		return SYNCER_ENDPOINTS;
	case DISCOVERY_AUTO:
		break;
	}
	return SYNCER_AUTO;
}

struct pipeline_options engine_pipeline_options(const struct config *config)
{
	return (struct pipeline_options){
		.api_url = config->api_url,
		.api_file = config->api_file,
		.credentials =
			{
				.token_file = config->token_file,
				.ca_file = config->ca_file,
				.cert_file = config->cert_file,
				.key_file = config->key_file,
			},
		.sync =
			{
				.refs = config->services,
				.ref_count = config->service_count,
				.discovery = discovery_of(config),
				.follow_services = true,
				.retry_delay_ms = config->retry_delay_ms,
				.sync_interval_ms = config->sync_interval_ms,
			},
		.ages = true,
		/* A file is there or not; it does not age. */
		.max_age_s = config->api_file[0] ? 0 : config->max_age_s,
		.location =
			{
				.node = config->node,
				.zone = config->zone,
			},
	};
}
