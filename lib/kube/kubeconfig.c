// SPDX-License-Identifier: Apache-2.0
#include "kube/kubeconfig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/json_access.h"
#include "kube/json_stream.h"

/* The parts of one context. */
struct parts {
	const cJSON *context;
	const cJSON *cluster;
	const cJSON *user;
};

static bool says(const cJSON *object, const char *name)
{
	const cJSON *member = json_member(object, name);

	return member && !cJSON_IsFalse(member) &&
	       !(cJSON_IsString(member) && !member->valuestring[0]);
}

/* "clusters": [{"name": ..., "cluster": {...}}]; --minify leaves one. NULL: there is none. */
static const cJSON *first_of(struct json_decoder *decoder, const cJSON *root, const char *list,
			     const char *part)
{
	const cJSON *items = json_get_array(decoder, root, list);

	return items && items->child ? json_get_object(decoder, items->child, part) : NULL;
}

/* A path that is relative is so to the file that it stands in, and which that was is not told. */
static bool is_elsewhere(struct json_decoder *decoder, const cJSON *object, const char *name)
{
	const char *path = json_get_text(decoder, object, name);

	return path[0] && path[0] != '/';
}

static void explain_plugin(struct json_decoder *decoder, const cJSON *user, char *text, size_t size)
{
	const cJSON *exec = json_get_object(decoder, user, "exec");
	const char *command = json_get_text(decoder, exec, "command");
	char quoted[64];

	json_printable(quoted, sizeof(quoted), command, strlen(command));
	snprintf(text, size, "logs in by the plugin %s", quoted);
}

/* What the library has no setting for. The first reason is enough. */
static void explain_need(struct json_decoder *decoder, const struct parts *parts, char *text,
			 size_t size)
{
	static const struct {
		bool of_user;
		const char *name;
		const char *words;
	} needs[] = {
		{true, "auth-provider", "logs in by an auth-provider"},
		{true, "token", "holds a token itself"},
		{true, "client-certificate-data", "holds a client certificate itself"},
		{true, "client-key-data", "holds a client key itself"},
		{true, "username", "logs in by a user name"},
		{true, "as", "acts as somebody else"},
		{false, "certificate-authority-data", "holds the certificate authority itself"},
		{false, "insecure-skip-tls-verify", "does not verify the API server"},
		{false, "tls-server-name", "names the server in TLS"},
		{false, "proxy-url", "goes through a proxy"},
	};
	static const char *const user_paths[] = {"tokenFile", "client-certificate", "client-key"};

	text[0] = '\0';
	if (says(parts->user, "exec")) {
		explain_plugin(decoder, parts->user, text, size);
		return;
	}
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (says(needs[i].of_user ? parts->user : parts->cluster, needs[i].name)) {
			snprintf(text, size, "%s", needs[i].words);
			return;
		}
	}
	for (size_t i = 0; i < sizeof(user_paths) / sizeof(user_paths[0]); i++) {
		if (is_elsewhere(decoder, parts->user, user_paths[i]))
			snprintf(text, size, "names a file by a relative path");
	}
	if (is_elsewhere(decoder, parts->cluster, "certificate-authority"))
		snprintf(text, size, "names a file by a relative path");
	else if (!says(parts->cluster, "certificate-authority") &&
		 strncmp(json_get_text(decoder, parts->cluster, "server"), "https:", 6) == 0)
		snprintf(text, size, "trusts the system's certificate authorities");
}

static char *copy_of(struct json_decoder *decoder, const cJSON *object, const char *name)
{
	char *copy = strdup(json_get_text(decoder, object, name));

	if (!copy)
		json_no_memory(decoder);
	return copy;
}

static void read_config(struct json_decoder *decoder, const cJSON *root, struct kubeconfig *config)
{
	struct parts parts = {
		.context = first_of(decoder, root, "contexts", "context"),
		.cluster = first_of(decoder, root, "clusters", "cluster"),
		.user = first_of(decoder, root, "users", "user"),
	};

	if (!parts.cluster || !json_get_text(decoder, parts.cluster, "server")[0])
		json_bad(decoder, "the context names no cluster with a server");
	explain_need(decoder, &parts, config->why_kubectl, sizeof(config->why_kubectl));
	config->context = copy_of(decoder, root, "current-context");
	config->server = copy_of(decoder, parts.cluster, "server");
	config->namespace = copy_of(decoder, parts.context, "namespace");
	config->ca_file = copy_of(decoder, parts.cluster, "certificate-authority");
	config->token_file = copy_of(decoder, parts.user, "tokenFile");
	config->cert_file = copy_of(decoder, parts.user, "client-certificate");
	config->key_file = copy_of(decoder, parts.user, "client-key");
}

int kubeconfig_decode(const char *text, size_t size, struct kubeconfig *ret_config, char *error,
		      size_t error_size)
{
	struct json_decoder decoder = {.error = error, .error_size = error_size};
	struct kubeconfig config = {0};
	cJSON *root = json_parse(&decoder, text, size);

	if (!root)
		return decoder.rc;
	read_config(&decoder, root, &config);
	cJSON_Delete(root);
	if (decoder.rc == 0)
		*ret_config = config;
	else
		kubeconfig_free(&config);
	return decoder.rc;
}

void kubeconfig_free(struct kubeconfig *config)
{
	char *const texts[] = {
		config->context, config->server, config->namespace, config->ca_file,
		config->token_file, config->cert_file, config->key_file,
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	memset(config, 0, sizeof(*config));
}
