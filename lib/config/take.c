// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "config/parse.h"

_Static_assert(sizeof(enum balance_policy) == sizeof(int), "choices are stored as int");

const char *parser_keep(struct parser *parser, const char *text, size_t length)
{
	char *copy = parser->space;

	if (!copy)
		return text;
	memcpy(copy, text, length);
	copy[length] = '\0';
	parser->space += length + 1;
	return copy;
}

static bool take_number(const struct config_setting *setting, const char *text, uint32_t *field)
{
	uint32_t number;

	/* The default of one that has none. */
	if (!*text) {
		*field = UINT32_MAX;
		return true;
	}
	if (!value_number(text, setting->least, setting->most, &number))
		return false;
	*field = number * setting->factor;
	return true;
}

static bool take_choice(const struct config_setting *setting, const char *text, void *field)
{
	int choice = value_choice(text, setting->choices);

	if (choice < 0)
		return false;
	memcpy(field, &choice, sizeof(choice));
	return true;
}

static bool take_namespace(struct parser *parser, const char *text)
{
	if (!dns_label_valid(text))
		return false;
	strcpy(parser->config->namespace, text);
	parser->namespace_is_set = true;
	return true;
}

/* LEVEL[:/PATH] */
static bool take_log(struct parser *parser, const struct config_setting *setting, const char *text,
		     void *field)
{
	const char *path = strchr(text, ':');
	size_t length = path ? (size_t)(path - text) : strlen(text);
	char level[8];

	if (length >= sizeof(level) || (path && !value_absolute_path(path + 1)))
		return false;
	memcpy(level, text, length);
	level[length] = '\0';
	if (!take_choice(setting, level, field))
		return false;
	parser->config->log_path = path ? parser_keep(parser, path + 1, strlen(path + 1)) : "";
	return true;
}

bool parser_take(struct parser *parser, const struct config_setting *setting, const char *text)
{
	void *field = (char *)parser->config + setting->at;
	bool right = true;

	switch (setting->kind) {
	case SETTING_SERVICES:
	case SETTING_PROGRAMS:
		return true;
	case SETTING_NUMBER:
		return take_number(setting, text, field);
	case SETTING_CHOICE:
		return take_choice(setting, text, field);
	case SETTING_NAMESPACE:
		return take_namespace(parser, text);
	case SETTING_API:
		return parser_take_api(parser, text);
	case SETTING_LOG:
		return take_log(parser, setting, text, field);
	case SETTING_PATH:
	case SETTING_SECRET_PATH:
		right = value_absolute_path(text);
		break;
	case SETTING_OBJECT_NAME:
		right = value_object_name(text, setting->most);
		break;
	}
	/* Texts; "" is the default of one that has none. */
	if (*text && !right)
		return false;
	*(const char **)field = parser_keep(parser, text, strlen(text));
	return true;
}
