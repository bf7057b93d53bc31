/* What the files of lib/config share while the settings are read. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CONFIG_PARSE_H
#define K8SLB_CONFIG_PARSE_H

#include "config/config.h"
#include "config/values.h"

/* Where Kubernetes mounts a Pod's service account (ServiceAccount admission controller). */
#define SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define DEFAULT_API_URL	    "http://127.0.0.1:8001"

struct parser {
	const struct config_source *source;
	struct value_reporter reporter;
	struct config *config;
	char *space; /* the rest of the mapping, for strings */
};

/* The value, or "" when it is not set. */
const char *parser_value(const struct parser *parser, const char *variable);

/* Keeps a copy for the life of the config; config_parse() made room for every value once. */
const char *parser_keep(struct parser *parser, const char *text, size_t length);

/* The value when it is an absolute path, kept; else "", with a message when there is a value. */
const char *parser_path(struct parser *parser, const char *variable);

/* Room that parse_api() needs beyond the values themselves: "https://[]:" and NULs. */
#define PARSE_API_ROOM 64

/* Sets api_url or api_file, and the four credential paths. */
void parse_api(struct parser *parser);

#endif
