/* The configuration of a k8slb object: copied, checked, with its defaults. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENDPOINTS_SETTINGS_H
#define K8SLB_ENDPOINTS_SETTINGS_H

#include "k8slb.h"
#include "pipeline/pipeline.h"

struct settings {
	struct service_ref ref;
	char *api_url;
	char *token_file; /* NULL where there is none; so the next ones */
	char *ca_file;
	char *cert_file;
	char *key_file;
	uint32_t retry_delay_ms;
	uint32_t sync_interval_ms;
	enum syncer_discovery discovery;
	struct logger logger;
	void (*error_callback)(void *ctx, const char *message);
	void *error_ctx;
};

/*
 * Fills @settings, which must stay where it is: its logger points to it. Returns 0, -ENOMEM or
 * -EINVAL with the reason in @error (never NULL). Free by settings_clear() either way.
 */
int settings_init(struct settings *settings, const struct k8slb_config *config, char *error,
		  size_t error_size);

/* A pipeline that follows just this Service. Returns 0 or -errno with the reason in @error. */
int settings_new_pipeline(const struct settings *settings, struct pipeline **ret_pipeline,
			  char *error, size_t error_size);

/* Frees; takes a zeroed struct. */
void settings_clear(struct settings *settings);

#endif
