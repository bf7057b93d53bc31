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

/* Returns false when the value is wrong. */
static bool parse_explicit_api(struct parser *parser, const char *value)
{
	struct config *config = parser->config;
	size_t length = strlen(value);

	if (starts_with(value, FILE_PREFIX) && value_absolute_path(value + strlen(FILE_PREFIX))) {
		config->api_url = "";
		config->api_file = parser_keep(parser, value + strlen(FILE_PREFIX),
					       length - strlen(FILE_PREFIX));
		return true;
	}
	if (!value_url(value)) {
		value_wrong(&parser->reporter, "K8SLB_API", value,
			    "http://HOST[:PORT][/PATH], https://... or file:/PATH");
		return false;
	}
	while (value[length - 1] == '/')
		length--;
	config->api_url = parser_keep(parser, value, length);
	return true;
}

/* As client-go's rest.InClusterConfig(). Returns false outside of a Pod. */
static bool parse_in_cluster_api(struct parser *parser)
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

static void parse_credentials(struct parser *parser)
{
	struct config *config = parser->config;

	config->token_file = parser_path(parser, "K8SLB_TOKEN_FILE");
	config->ca_file = parser_path(parser, "K8SLB_CA_FILE");
	config->cert_file = parser_path(parser, "K8SLB_CERT_FILE");
	config->key_file = parser_path(parser, "K8SLB_KEY_FILE");
	if (!*config->cert_file == !*config->key_file)
		return;
	if (*config->cert_file)
		value_wrong(&parser->reporter, "K8SLB_CERT_FILE", config->cert_file,
			    "K8SLB_KEY_FILE beside it");
	else
		value_wrong(&parser->reporter, "K8SLB_KEY_FILE", config->key_file,
			    "K8SLB_CERT_FILE beside it");
	config->cert_file = "";
	config->key_file = "";
}

void parse_api(struct parser *parser)
{
	struct config *config = parser->config;
	const char *value = parser_value(parser, "K8SLB_API");

	parse_credentials(parser);
	if (*value && parse_explicit_api(parser, value)) {
		/* Somebody who names a credential names all of them: the Pod's token must not
		 * travel to a server that was given a CA of its own. */
		if (starts_with(config->api_url, "https://") && !*config->token_file &&
		    !*config->ca_file && !*config->cert_file && service_account_present(parser))
			use_service_account(config);
		return;
	}
	if (parse_in_cluster_api(parser))
		use_service_account(config);
	else
		config->api_url = DEFAULT_API_URL;
}
