// SPDX-License-Identifier: Apache-2.0
#include "config/parse.h"

#include <stdio.h>
#include <string.h>

#define FILE_PREFIX "file:"

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool service_account_present(const struct parser *parser)
{
	char first_byte[2];

	return parser->source->read_file(parser->source->ctx, SERVICE_ACCOUNT_DIR "/token",
					 first_byte, sizeof(first_byte)) == 0;
}

bool parser_take_api(struct parser *parser, const char *text)
{
	struct config *config = parser->config;
	size_t length = strlen(text);

	if (starts_with(text, FILE_PREFIX) && value_absolute_path(text + strlen(FILE_PREFIX))) {
		config->api_url = "";
		config->api_file = parser_keep(parser, text + strlen(FILE_PREFIX),
					       length - strlen(FILE_PREFIX));
	} else if (value_url(text)) {
		while (text[length - 1] == '/')
			length--;
		config->api_url = parser_keep(parser, text, length);
		config->api_file = "";
	} else {
		return false;
	}
	parser->api_is_set = true;
	return true;
}

/* As client-go's rest.InClusterConfig(). Returns false outside of a Pod. */
static bool use_in_cluster_api(struct parser *parser)
{
	const char *host = parser_value(parser, "KUBERNETES_SERVICE_HOST");
	const char *port = parser_value(parser, "KUBERNETES_SERVICE_PORT");
	bool bracket = strchr(host, ':') != NULL;
	char url[256];
	int length;

	if (!*host || !*port)
		return false;
	length = snprintf(url, sizeof(url), "https://%s%s%s:%s", bracket ? "[" : "", host,
			  bracket ? "]" : "", port);
	if (length < 0 || (size_t)length >= sizeof(url) || !value_url(url))
		return false;
	/* A Pod without a service account token has the two variables as well; there, kubectl proxy
	 * in a sidecar is what can be reached. */
	if (!*parser->config->token_file && !service_account_present(parser))
		return false;
	parser->config->api_url = parser_keep(parser, url, (size_t)length);
	return true;
}

static void use_service_account(struct config *config)
{
	if (!*config->token_file && !*config->cert_file)
		config->token_file = SERVICE_ACCOUNT_DIR "/token";
	if (!*config->ca_file)
		config->ca_file = SERVICE_ACCOUNT_DIR "/ca.crt";
}

/* A certificate is of no use without its key. */
static void check_client_certificate(struct parser *parser)
{
	struct config *config = parser->config;

	if (!*config->cert_file == !*config->key_file)
		return;
	if (*config->cert_file)
		value_wrong(&parser->reporter, "K8SLB_CERT_FILE", config->cert_file, VALUE_SHOWN,
			    "K8SLB_KEY_FILE beside it");
	else
		value_wrong(&parser->reporter, "K8SLB_KEY_FILE", config->key_file, VALUE_SHOWN,
			    "K8SLB_CERT_FILE beside it");
	config->cert_file = "";
	config->key_file = "";
}

void parser_complete_api(struct parser *parser)
{
	struct config *config = parser->config;

	check_client_certificate(parser);
	if (!parser->api_is_set) {
		if (use_in_cluster_api(parser))
			use_service_account(config);
		return;
	}
	/* Somebody who names a credential names all of them: the Pod's token must not travel to a
	 * server that was given a CA of its own. */
	if (starts_with(config->api_url, "https://") && !*config->token_file && !*config->ca_file &&
	    !*config->cert_file && service_account_present(parser))
		use_service_account(config);
}
