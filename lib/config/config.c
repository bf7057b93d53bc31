// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "config/parse.h"

#define SECOND_MS    1000u
#define ZONE_LONGEST 63	 /* a label value */
#define NODE_LONGEST 253 /* a DNS subdomain */

const char *parser_value(const struct parser *parser, const char *variable)
{
	const char *value = parser->source->getenv(parser->source->ctx, variable);

	return value ? value : "";
}

const char *parser_keep(struct parser *parser, const char *text, size_t length)
{
	char *copy = parser->space;

	memcpy(copy, text, length);
	copy[length] = '\0';
	parser->space += length + 1;
	return copy;
}

const char *parser_path(struct parser *parser, const char *variable)
{
	const char *value = parser_value(parser, variable);

	if (!*value)
		return "";
	if (!value_absolute_path(value)) {
		value_wrong(&parser->reporter, variable, value, "an absolute path");
		return "";
	}
	return parser_keep(parser, value, strlen(value));
}

static void parse_number(const struct parser *parser, const char *variable, uint32_t min,
			 uint32_t max, uint32_t factor, uint32_t *ret_number)
{
	const char *value = parser_value(parser, variable);
	uint32_t number;

	if (!*value)
		return;
	if (value_number(value, min, max, &number))
		*ret_number = number * factor;
	else
		value_wrong(&parser->reporter, variable, value, "%u to %u", min, max);
}

/* Returns the index in @names of the value, or 0, the default. */
static int parse_choice(const struct parser *parser, const char *variable, const char *const *names,
			const char *expected)
{
	const char *value = parser_value(parser, variable);
	int choice = *value ? value_choice(value, names) : 0;

	if (choice >= 0)
		return choice;
	value_wrong(&parser->reporter, variable, value, "%s", expected);
	return 0;
}

static const char *parse_object_name(struct parser *parser, const char *variable, size_t longest)
{
	const char *value = parser_value(parser, variable);

	if (!*value)
		return "";
	if (!value_object_name(value, longest)) {
		value_wrong(&parser->reporter, variable, value,
			    "1 to %zu of letters, digits, \"-\", \"_\" and \".\"", longest);
		return "";
	}
	return parser_keep(parser, value, strlen(value));
}

static void parse_namespace(struct parser *parser)
{
	static const char *const variables[] = {"K8SLB_NAMESPACE", "POD_NAMESPACE"};
	char *namespace = parser->config->namespace;
	char text[DNS_LABEL_SIZE];

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *value = parser_value(parser, variables[i]);

		if (dns_label_valid(value)) {
			strcpy(namespace, value);
			return;
		}
		if (*value)
			value_wrong(&parser->reporter, variables[i], value,
				    "a namespace: 1 to 63 of a-z, 0-9 and inner \"-\"");
	}
	if (parser->source->read_file(parser->source->ctx, SERVICE_ACCOUNT_DIR "/namespace", text,
				      sizeof(text)) == 0 &&
	    dns_label_valid(text))
		strcpy(namespace, text);
	else
		strcpy(namespace, "default");
}

static void parse_log(struct parser *parser)
{
	static const char *const names[] = {"off", "error", "info", "debug", NULL};
	const char *value = parser_value(parser, "K8SLB_LOG");
	const char *path = strchr(value, ':');
	size_t length = path ? (size_t)(path - value) : strlen(value);
	char level[8];
	int choice = -1;

	if (!*value)
		return;
	if (length < sizeof(level) && (!path || value_absolute_path(path + 1))) {
		memcpy(level, value, length);
		level[length] = '\0';
		choice = value_choice(level, names);
	}
	if (choice < 0) {
		value_wrong(&parser->reporter, "K8SLB_LOG", value,
			    "off, error, info or debug, with :/PATH if wanted");
		return;
	}
	/* The names stand in the order of enum log_level. */
	parser->config->log_level = (enum log_level)choice;
	if (path)
		parser->config->log_path = parser_keep(parser, path + 1, strlen(path + 1));
}

static void parse_services(struct parser *parser, const char *value)
{
	struct config *config = parser->config;
	const char *entry = value;
	size_t length = 0;
	char reason[LOG_LINE_SIZE / 2];

	while ((length = value_next_entry(&entry, length))) {
		if (service_ref_parse(entry, length, config->namespace,
				      &config->services[config->service_count], reason,
				      sizeof(reason)) == 0)
			config->service_count++;
		else
			value_wrong_entry(&parser->reporter, "K8SLB_SERVICES", entry, length,
					  reason);
	}
}

/* @list holds the program's name. */
static bool names_program(const char *list, const char *program)
{
	const char *entry = list;
	size_t length = 0;

	while ((length = value_next_entry(&entry, length))) {
		if (strlen(program) == length && memcmp(entry, program, length) == 0)
			return true;
	}
	return false;
}

static bool program_excluded(const struct parser *parser)
{
	const char *only = parser_value(parser, "K8SLB_ONLY");
	const char *skip = parser_value(parser, "K8SLB_SKIP");
	const char *program = parser->source->program_name;

	return (*only && !names_program(only, program)) || names_program(skip, program);
}

static struct config config_defaults(void)
{
	return (struct config){
		.api_url = "",
		.api_file = "",
		.token_file = "",
		.ca_file = "",
		.cert_file = "",
		.key_file = "",
		.namespace = "default",
		.sync_timeout_ms = 2000,
		.connect_timeout_ms = 1000,
		.attempts = 3,
		.sync_interval_ms = 30 * SECOND_MS,
		.retry_delay_ms = 5 * SECOND_MS,
		.max_age_s = 3600,
		.node = "",
		.zone = "",
		.table_path = "",
		.log_path = "",
	};
}

/* One mapping with room for each entry and a copy of each value, which is more than is kept. */
static int make_room(struct parser *parser, const char *services)
{
	struct config *config = parser->config;
	const char *entry = services;
	size_t entries = 0;
	size_t length = 0;
	size_t size = PARSE_API_ROOM;

	while ((length = value_next_entry(&entry, length)))
		entries++;
	size += entries * sizeof(*config->services);
	for (const struct config_setting *setting = config_settings; setting->name; setting++)
		size += strlen(parser_value(parser, setting->name)) + 1;
	size += strlen(parser_value(parser, "KUBERNETES_SERVICE_HOST"));
	size += strlen(parser_value(parser, "KUBERNETES_SERVICE_PORT"));

	config->memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (config->memory == MAP_FAILED) {
		config->memory = NULL;
		return -ENOMEM;
	}
	config->memory_size = size;
	config->services = config->memory;
	parser->space = (char *)(config->services + entries);
	return 0;
}

static void parse_balancing(struct parser *parser)
{
	static const char *const policies[] = {"round_robin", "random", NULL};
	static const char *const modes[] = {"vip", "endpoint", NULL};
	static const char *const discoveries[] = {"auto", "endpointslices", "endpoints", NULL};
	static const char *const meshes[] = {"avoid", "ignore", NULL};
	struct config *config = parser->config;

	/* The names stand in the order of their enums, the default first. */
	config->policy = (enum balance_policy)parse_choice(parser, "K8SLB_POLICY", policies,
							   "round_robin or random");
	config->resolve =
		(enum resolve_mode)parse_choice(parser, "K8SLB_RESOLVE", modes, "vip or endpoint");
	config->discovery = (enum discovery_mode)parse_choice(
		parser, "K8SLB_DISCOVERY", discoveries, "auto, endpointslices or endpoints");
	config->mesh =
		(enum mesh_mode)parse_choice(parser, "K8SLB_MESH", meshes, "avoid or ignore");
	parse_number(parser, "K8SLB_SYNC_TIMEOUT", 0, 60000, 1, &config->sync_timeout_ms);
	parse_number(parser, "K8SLB_CONNECT_TIMEOUT", 1, 600000, 1, &config->connect_timeout_ms);
	parse_number(parser, "K8SLB_ATTEMPTS", 1, 16, 1, &config->attempts);
	parse_number(parser, "K8SLB_SYNC_INTERVAL", 1, 86400, SECOND_MS, &config->sync_interval_ms);
	parse_number(parser, "K8SLB_RETRY_DELAY", 1, 3600, SECOND_MS, &config->retry_delay_ms);
	parse_number(parser, "K8SLB_MAX_AGE", 0, 31536000, 1, &config->max_age_s);
}

int config_parse(const struct config_source *source, void (*report)(void *ctx, const char *message),
		 void *report_ctx, struct config *ret_config)
{
	struct config config = config_defaults();
	struct parser parser = {
		.source = source,
		.reporter = {report, report_ctx},
		.config = &config,
	};
	const char *services = parser_value(&parser, "K8SLB_SERVICES");
	int rc;

	if (!*services) {
		*ret_config = config;
		return 0;
	}
	config.program_excluded = program_excluded(&parser);
	if (!config.program_excluded) {
		rc = make_room(&parser, services);
		if (rc < 0)
			return rc;
		parse_log(&parser);
		parse_namespace(&parser);
		parse_services(&parser, services);
		parse_api(&parser);
		parse_balancing(&parser);
		config.node = parse_object_name(&parser, "K8SLB_NODE", NODE_LONGEST);
		config.zone = parse_object_name(&parser, "K8SLB_ZONE", ZONE_LONGEST);
		config.table_path = parser_path(&parser, "K8SLB_TABLE");
	}
	*ret_config = config;
	return 0;
}

void config_free(struct config *config)
{
	if (config->memory)
		munmap(config->memory, config->memory_size);
	memset(config, 0, sizeof(*config));
}
