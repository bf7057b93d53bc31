// SPDX-License-Identifier: Apache-2.0
#include "configure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const char **given_setting(struct given_settings *given, const char *name)
{
	return &given->values[config_setting(name) - config_settings];
}

void given_to_environment(const struct given_settings *given)
{
	for (int i = 0; config_settings[i].name; i++) {
		if (given->values[i])
			setenv(config_settings[i].name, given->values[i], 1);
	}
}

struct settings_reader {
	const char *command;
	const struct given_settings *given;
	bool wrong;
};

static const char *get_setting(void *ctx, const char *name)
{
	const struct settings_reader *reader = ctx;
	const struct config_setting *setting = config_setting(name);
	const char *value = NULL;

	/* POD_NAMESPACE, KUBERNETES_SERVICE_HOST, ... */
	if (!setting)
		return getenv(name);
	/* They are for programs under the library, not for us. */
	if (setting->kind == SETTING_PROGRAMS)
		return NULL;
	if (setting->part <= reader->given->part) {
		value = reader->given->values[setting - config_settings];
		if (!value)
			value = getenv(name);
	}
	/* config_parse() reads nothing else without it. */
	if (setting->kind == SETTING_SERVICES && (!value || !*value))
		return "*/*";
	return value;
}

static void report_setting(void *ctx, const char *message)
{
	struct settings_reader *reader = ctx;

	cli_relay(reader->command, message);
	reader->wrong = true;
}

int configure(const char *command, const struct given_settings *given, struct config *ret_config)
{
	struct config_source source = config_source_process();
	struct settings_reader reader = {.command = command, .given = given};
	struct config config;
	int rc;

	source.getenv = get_setting;
	source.ctx = &reader;
	rc = config_parse(&source, report_setting, &reader, &config);
	if (rc < 0) {
		cli_failed(command, "the settings", rc);
		return rc;
	}
	if (reader.wrong) {
		config_free(&config);
		return -EINVAL;
	}
	*ret_config = config;
	return 0;
}
