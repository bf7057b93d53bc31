// SPDX-License-Identifier: Apache-2.0
#include "config/values.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define SHOWN_BYTES 80
#define SEPARATORS  ", \t\r\n"

static void quote(char *quoted, const char *text, size_t length)
{
	size_t shown = length > SHOWN_BYTES ? SHOWN_BYTES : length;

	memcpy(quoted, text, shown);
	strcpy(quoted + shown, length > shown ? "..." : "");
}

/* The text comes from outside: a message must stay one line and harmless to a terminal. */
static void deliver(const struct value_reporter *reporter, char *message)
{
	for (char *c = message; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	reporter->report(reporter->ctx, message);
}

/* The token itself in the place of its file's name: long, and not a path. The shortest ones, of
 * bootstrap, have 23 bytes. */
static bool looks_secret(const char *value)
{
	return strlen(value) > 16 && !strchr(value, '/');
}

void value_wrong(const struct value_reporter *reporter, const char *variable, const char *value,
		 enum value_shown shown, const char *expected)
{
	const char *secret_end = strrchr(value, '@');
	char message[LOG_LINE_SIZE];
	char quoted[SHOWN_BYTES + 4];
	size_t length;

	if (!reporter->report)
		return;
	if (shown == VALUE_MAY_BE_SECRET && looks_secret(value)) {
		value = "(not shown)";
		secret_end = NULL;
	} else if (secret_end) {
		value = secret_end;
	}
	/* A query may hold a token, as the part before an @ may hold a password. */
	length = shown == VALUE_SHOWN_AS_URL ? strcspn(value, "?#") : strlen(value);
	quote(quoted, value, length);
	snprintf(message, sizeof(message), "%s=\"%s%s%s\": expected %s", variable,
		 secret_end ? "..." : "", quoted, value[length] ? "..." : "", expected);
	deliver(reporter, message);
}

void value_wrong_entry(const struct value_reporter *reporter, const char *variable,
		       const char *entry, size_t length, const char *reason)
{
	char message[LOG_LINE_SIZE];
	char quoted[SHOWN_BYTES + 4];

	if (!reporter->report)
		return;
	quote(quoted, entry, length);
	snprintf(message, sizeof(message), "%s entry \"%s\": %s", variable, quoted, reason);
	deliver(reporter, message);
}

bool value_number(const char *text, uint32_t min, uint32_t max, uint32_t *ret_number)
{
	uint64_t number = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		number = number * 10 + (uint64_t)(*text - '0');
		if (number > max)
			return false;
	}
	if (number < min)
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

int value_choice(const char *text, const char *const *names)
{
	for (int i = 0; names[i]; i++) {
		if (strcmp(text, names[i]) == 0)
			return i;
	}
	return -1;
}

bool value_absolute_path(const char *text)
{
	return text[0] == '/' && text[1];
}

static bool url_port(const char *text, size_t length)
{
	char digits[6];
	uint32_t port;

	if (length >= sizeof(digits))
		return false;
	memcpy(digits, text, length);
	digits[length] = '\0';
	return value_number(digits, 1, 65535, &port);
}

bool value_url(const char *text)
{
	static const char host_characters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
	const char *host;
	size_t length;

	if (strncmp(text, "https://", 8) == 0)
		host = text + 8;
	else if (strncmp(text, "http://", 7) == 0)
		host = text + 7;
	else
		return false;
	if (*host == '[') {
		length = strspn(host + 1, "0123456789abcdefABCDEF:.");
		if (length < 2 || host[1 + length] != ']')
			return false;
		host += length + 2;
	} else {
		length = strspn(host, host_characters);
		if (length == 0)
			return false;
		host += length;
	}
	if (*host == ':') {
		length = strcspn(++host, "/");
		if (!url_port(host, length))
			return false;
		host += length;
	}
	if (*host && *host != '/')
		return false;
	for (; *host; host++) {
		if (*host <= ' ' || *host > '~' || strchr("?#@\"<>\\^`{|}", *host))
			return false;
	}
	return true;
}

bool value_object_name(const char *text, size_t longest)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-_.");

	return length > 0 && length <= longest && !text[length];
}

size_t value_next_entry(const char **ret_entry, size_t length)
{
	const char *entry = *ret_entry + length;

	entry += strspn(entry, SEPARATORS);
	*ret_entry = entry;
	return strcspn(entry, SEPARATORS);
}
