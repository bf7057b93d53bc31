// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "config/parse.h"

const char *parser_value(const struct parser *parser, const char *variable)
{
	const char *value = parser->source->getenv(parser->source->ctx, variable);

	return value ? value : "";
}

static enum value_shown shown(const struct config_setting *setting)
{
	switch (setting->kind) {
	case SETTING_SECRET_PATH:
		return VALUE_MAY_BE_SECRET;
	case SETTING_API:
		return VALUE_SHOWN_AS_URL;
	default:
		return VALUE_SHOWN;
	}
}

static void parse_settings(struct parser *parser)
{
	char expected[SETTING_TEXT_SIZE];

	for (const struct config_setting *setting = config_settings; setting->name; setting++) {
		const char *value = parser_value(parser, setting->name);

		if (!*value || parser_take(parser, setting, value))
			continue;
		setting_expected(setting, expected);
		setting_plain(expected);
		value_wrong(&parser->reporter, setting->name, value, shown(setting), expected);
	}
}

/* What is not said by K8SLB_NAMESPACE. */
static void complete_namespace(struct parser *parser)
{
	const struct config_setting *setting = config_setting("K8SLB_NAMESPACE");
	const char *value = parser_value(parser, "POD_NAMESPACE");
	char text[SETTING_TEXT_SIZE];

	if (parser->namespace_is_set || (*value && parser_take(parser, setting, value)))
		return;
	if (*value) {
		setting_expected(setting, text);
		value_wrong(&parser->reporter, "POD_NAMESPACE", value, VALUE_SHOWN, text);
	}
	if (parser->source->read_file(parser->source->ctx, SERVICE_ACCOUNT_DIR "/namespace", text,
				      DNS_LABEL_SIZE) == 0)
		parser_take(parser, setting, text);
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

/* Those of the table, taken as the values of variables are. */
static void set_defaults(struct config *config)
{
	struct parser parser = {.config = config};

	memset(config, 0, sizeof(*config));
	for (const struct config_setting *setting = config_settings; setting->name; setting++)
		parser_take(&parser, setting, setting->default_value);
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

int config_parse(const struct config_source *source, void (*report)(void *ctx, const char *message),
		 void *report_ctx, struct config *ret_config)
{
	struct config config;
	struct parser parser = {
		.source = source,
		.reporter = {report, report_ctx},
		.config = &config,
	};
	const char *services = parser_value(&parser, "K8SLB_SERVICES");
	int rc;

	set_defaults(&config);
	if (!*services) {
		*ret_config = config;
		return 0;
	}
	config.program_excluded = program_excluded(&parser);
	if (!config.program_excluded) {
		rc = make_room(&parser, services);
		if (rc < 0)
			return rc;
		parse_settings(&parser);
		complete_namespace(&parser);
		parse_services(&parser, services);
		parser_complete_api(&parser);
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
