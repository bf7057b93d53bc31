/* Fuzzes lib/config and what the shim reads of the Pod's files: environment, resolv.conf, hosts. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/service_ref.h"
#include "config/config.h"
#include "hosts_file.h"
#include "resolv_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Texts that end with a NUL: NAME=VALUE of the environment, or a path, a line feed and what stands
 * in that file. */
struct input {
	const char *text;
	size_t size;
};

/* What follows @name and @sign in one of the texts. */
static const char *find(const struct input *input, const char *name, char sign)
{
	size_t length = strlen(name);

	for (size_t at = 0; at < input->size; at += strlen(input->text + at) + 1) {
		const char *text = input->text + at;

		if (strncmp(text, name, length) == 0 && text[length] == sign)
			return text + length + 1;
	}
	return NULL;
}

static const char *get_variable(void *ctx, const char *name)
{
	return find(ctx, name, '=');
}

static int read_file(void *ctx, const char *path, char *text, size_t size)
{
	const char *content = find(ctx, path, '\n');
	size_t length;

	if (!content)
		return -ENOENT;
	length = strlen(content);
	if (length >= size)
		length = size - 1;
	memcpy(text, content, length);
	text[length] = '\0';
	return 0;
}

static void take_report(void *ctx, const char *message)
{
	size_t length = strlen(message);

	(void)ctx;
	if (length == 0 || length >= LOG_LINE_SIZE || strchr(message, '\n'))
		abort();
}

static void try_settings(struct input *input)
{
	struct config_source source = {
		.getenv = get_variable,
		.read_file = read_file,
		.program_name = "program",
		.ctx = input,
	};
	struct config config;

	if (config_parse(&source, take_report, NULL, &config) < 0)
		abort();
	for (unsigned i = 0; i < config.service_count; i++) {
		const struct service_ref *ref = &config.services[i];

		if (strlen(ref->name) >= sizeof(ref->name) || !ref->name[0] ||
		    (ref->has_vip && ip_never_cluster(&ref->vip)))
			abort();
	}
	if (config_table_identity(&config) == 0)
		abort();
	config_free(&config);
}

/* Cut anywhere, the same names are found. */
static void try_hosts(const char *text)
{
	static const char host[] = "web.Shop";
	size_t size = strlen(text);
	struct hosts_scan whole = {0};
	struct hosts_scan cut = {0};
	bool found_cut = false;
	bool found = hosts_scan_feed(&whole, host, text, size);

	for (size_t at = 0; at < size && !found_cut; at++)
		found_cut = hosts_scan_feed(&cut, host, text + at, 1);
	if (found != found_cut)
		abort();
}

static void must_be_name(const char name[RESOLV_NAME_SIZE])
{
	if (!name[0] || !memchr(name, '\0', RESOLV_NAME_SIZE))
		abort();
}

/* Whatever the file says, its list has an end and its names are names. */
static void try_resolv_conf(const char *text, enum resolv_libc libc)
{
	struct resolv_walk walk = {.host = "Web.shop"};
	struct resolv_conf conf;
	char name[RESOLV_NAME_SIZE];
	char line[1024];
	unsigned names = 0;

	resolv_conf_init(&conf);
	for (size_t length; *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)length, text);
		resolv_conf_line(&conf, libc, line, length >= sizeof(line));
		(void)nsswitch_asks_dns(line);
	}
	if (resolv_conf_domain(&conf, name))
		must_be_name(name);
	while (resolv_walk_next(&walk, &conf, name)) {
		must_be_name(name);
		if (++names > RESOLV_SEARCH_SIZE)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1);
	struct input input = {copy, size};
	const char *content;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	copy[size] = '\0';
	try_settings(&input);
	content = find(&input, "/etc/hosts", '\n');
	if (content)
		try_hosts(content);
	content = find(&input, "/etc/resolv.conf", '\n');
	if (content) {
		try_resolv_conf(content, RESOLV_GLIBC);
		try_resolv_conf(content, RESOLV_MUSL);
	}
	free(copy);
	return 0;
}
