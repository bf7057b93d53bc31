/* What the files of lib/config share while the settings are read. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CONFIG_PARSE_H
#define K8SLB_CONFIG_PARSE_H

#include "config/config.h"
#include "config/settings.h"
#include "config/values.h"

/* Where Kubernetes mounts a Pod's service account (ServiceAccount admission controller). */
#define SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

struct parser {
	const struct config_source *source;
	struct value_reporter reporter;
	struct config *config;
	char *space; /* the rest of the mapping, for strings; NULL: values are literals, which stay
			where they are */
	bool namespace_is_set; /* by K8SLB_NAMESPACE; api_is_set by K8SLB_API */
	bool api_is_set;
};

/* The value, or "" when it is not set. */
const char *parser_value(const struct parser *parser, const char *variable);

/* Keeps a copy for the life of the config; config_parse() made room for every value once. */
const char *parser_keep(struct parser *parser, const char *text, size_t length);

/*
 * Takes @text for a value of this setting, by its kind, into its field. Returns false and changes
 * nothing when it is not one. Lists are left alone: all entries of theirs are looked at elsewhere.
 */
bool parser_take(struct parser *parser, const struct config_setting *setting, const char *text);

/* parser_take() of K8SLB_API. */
bool parser_take_api(struct parser *parser, const char *text);

/* Room that parser_complete_api() needs beyond the values themselves: "https://[]:" and NULs. */
#define PARSE_API_ROOM 64

/* When all settings are taken: the API server of a Pod, and its credentials. */
void parser_complete_api(struct parser *parser);

#endif
