// SPDX-License-Identifier: Apache-2.0
#include "endpoints/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_API_ADDR	 "127.0.0.1:8001" /* kubectl proxy */
#define DEFAULT_RETRY_DELAY_MS	 5000
#define DEFAULT_SYNC_INTERVAL_MS 30000
#define SERVICE_ACCOUNT		 "/var/run/secrets/kubernetes.io/serviceaccount/"

/* Longest pause that is taken as meant, ms: a day. */
#define LONGEST_PAUSE_MS (24u * 60 * 60 * 1000)

static int copy_text(char **to, const char *text)
{
	if (!text)
		return 0;
	*to = strdup(text);
	return *to ? 0 : -ENOMEM;
}

static int copy_label(char *to, const char *label, const char *field, char *error,
		      size_t error_size)
{
	if (!label || !dns_label_valid(label)) {
		snprintf(error, error_size,
			 "%s \"%.80s\": expected 1 to 63 of a-z, 0-9 and inner \"-\"", field,
			 label ? label : "");
		return -EINVAL;
	}
	strcpy(to, label);
	return 0;
}

/* As client-go's rest.InClusterConfig(). */
static int in_cluster_url(char *url, size_t size, char *error, size_t error_size)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	int length;

	if (!host || !*host || !port || !*port) {
		snprintf(error, error_size,
			 "api_addr \"" K8SLB_IN_CLUSTER "\": KUBERNETES_SERVICE_HOST and "
			 "KUBERNETES_SERVICE_PORT are not set, so this is no Pod");
		return -EINVAL;
	}
	length = snprintf(url, size, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
			  port);
	if (length < 0 || (size_t)length >= size) {
		snprintf(error, error_size, "KUBERNETES_SERVICE_HOST is too long");
		return -EINVAL;
	}
	return 0;
}

static int set_api_url(struct settings *settings, const char *api_addr, char *error,
		       size_t error_size)
{
	char url[512];
	int length;
	int rc;

	if (!api_addr)
		api_addr = DEFAULT_API_ADDR;
	if (strstr(api_addr, "://"))
		return copy_text(&settings->api_url, api_addr);
	if (strcmp(api_addr, K8SLB_IN_CLUSTER) == 0) {
		rc = in_cluster_url(url, sizeof(url), error, error_size);
		if (rc == 0 && !settings->token_file && !settings->cert_file)
			rc = copy_text(&settings->token_file, SERVICE_ACCOUNT "token");
		if (rc == 0 && !settings->ca_file)
			rc = copy_text(&settings->ca_file, SERVICE_ACCOUNT "ca.crt");
		return rc == 0 ? copy_text(&settings->api_url, url) : rc;
	}
	length = snprintf(url, sizeof(url), "http://%s", api_addr);
	if (length < 0 || (size_t)length >= sizeof(url)) {
		snprintf(error, error_size, "api_addr is too long");
		return -EINVAL;
	}
	return copy_text(&settings->api_url, url);
}

static uint32_t pause_or_default(unsigned pause_ms, uint32_t default_ms)
{
	if (pause_ms == 0)
		return default_ms;
	return pause_ms > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause_ms;
}

static void pass_line(void *ctx, enum log_level level, const char *line)
{
	const struct settings *settings = ctx;

	(void)level;
	settings->error_callback(settings->error_ctx, line);
}

int settings_init(struct settings *settings, const struct k8slb_config *config, char *error,
		  size_t error_size)
{
	const char *namespace = config->k8s_namespace ? config->k8s_namespace : "default";
	int rc;

	memset(settings, 0, sizeof(*settings));
	snprintf(error, error_size, "out of memory");
	rc = copy_label(settings->ref.name, config->service, "service", error, error_size);
	if (rc == 0)
		rc = copy_label(settings->ref.namespace, namespace, "k8s_namespace", error,
				error_size);
	if (rc == 0 && config->port_name)
		rc = copy_label(settings->ref.port_name, config->port_name, "port_name", error,
				error_size);
	if (rc == 0)
		rc = copy_text(&settings->token_file, config->token_file);
	if (rc == 0)
		rc = copy_text(&settings->ca_file, config->ca_file);
	if (rc == 0)
		rc = copy_text(&settings->cert_file, config->cert_file);
	if (rc == 0)
		rc = copy_text(&settings->key_file, config->key_file);
	if (rc == 0)
		rc = set_api_url(settings, config->api_addr, error, error_size);
	switch (config->discovery) {
	case K8SLB_DISCOVERY_AUTO:
		settings->discovery = SYNCER_AUTO;
		break;
	case K8SLB_DISCOVERY_ENDPOINT_SLICES:
		settings->discovery = SYNCER_ENDPOINT_SLICES;
		break;
	case K8SLB_DISCOVERY_ENDPOINTS:
		settings->discovery = SYNCER_ENDPOINTS;
		break;
	default:
		snprintf(error, error_size, "discovery %d: expected one of enum k8slb_discovery",
			 (int)config->discovery);
		rc = -EINVAL;
	}
	settings->retry_delay_ms = pause_or_default(config->retry_delay_ms, DEFAULT_RETRY_DELAY_MS);
	settings->sync_interval_ms =
		pause_or_default(config->sync_interval_ms, DEFAULT_SYNC_INTERVAL_MS);
	settings->error_callback = config->error_callback;
	settings->error_ctx = config->error_ctx;
	/* Info: that a problem is over is as good to know as that there was one. */
	settings->logger = (struct logger){
		.level = LOG_LEVEL_INFO,
		.write = config->error_callback ? pass_line : NULL,
		.ctx = settings,
	};
	return rc;
}

int settings_new_pipeline(const struct settings *settings, struct pipeline **ret_pipeline,
			  char *error, size_t error_size)
{
	struct pipeline_options options = {
		.api_url = settings->api_url,
		.api_file = "",
		.credentials =
			{
				.token_file = settings->token_file,
				.ca_file = settings->ca_file,
				.cert_file = settings->cert_file,
				.key_file = settings->key_file,
			},
		.sync =
			{
				.refs = &settings->ref,
				.ref_count = 1,
				.discovery = settings->discovery,
				/* The caller wants endpoints; how the Service's VIP is called
				   matters not. */
				.follow_services = false,
				.retry_delay_ms = settings->retry_delay_ms,
				.sync_interval_ms = settings->sync_interval_ms,
			},
		.location = {.node = "", .zone = ""},
	};

	return pipeline_new(&options, &settings->logger, ret_pipeline, error, error_size);
}

void settings_clear(struct settings *settings)
{
	free(settings->api_url);
	free(settings->token_file);
	free(settings->ca_file);
	free(settings->cert_file);
	free(settings->key_file);
	memset(settings, 0, sizeof(*settings));
}
