// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"

#define SECOND_MS    1000u
#define ZONE_LONGEST 63	 /* a label value */
#define NODE_LONGEST 253 /* a DNS subdomain */

static const char *const log_levels[] = {
	[LOG_LEVEL_OFF] = "off",
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
	NULL,
};
static const char *const policies[] = {
	[POLICY_ROUND_ROBIN] = "round_robin",
	[POLICY_RANDOM] = "random",
	NULL,
};
static const char *const resolve_modes[] = {
	[RESOLVE_VIP] = "vip",
	[RESOLVE_ENDPOINT] = "endpoint",
	NULL,
};
static const char *const names_modes[] = {
	[NAMES_RESOLVER] = "resolver",
	[NAMES_ALWAYS] = "always",
	NULL,
};
static const char *const discovery_modes[] = {
	[DISCOVERY_AUTO] = "auto",
	[DISCOVERY_ENDPOINT_SLICES] = "endpointslices",
	[DISCOVERY_ENDPOINTS] = "endpoints",
	NULL,
};
static const char *const fallback_modes[] = {
	[FALLBACK_VIP] = "vip",
	[FALLBACK_NONE] = "none",
	NULL,
};
static const char *const events_modes[] = {
	[EVENTS_ON] = "on",
	[EVENTS_OFF] = "off",
	NULL,
};
static const char *const mesh_modes[] = {
	[MESH_AVOID] = "avoid",
	[MESH_IGNORE] = "ignore",
	NULL,
};

/* A kind that does not fit the type of its field does not compile. */
#define FIELD(field_, type_) \
	.at = offsetof(struct config, field_) + _Generic(((struct config *)0)->field_, type_ : 0u)

#define NUMBER(field_, least_, most_, factor_)                                           \
	.kind = SETTING_NUMBER, .least = (least_), .most = (most_), .factor = (factor_), \
	FIELD(field_, uint32_t)
#define CHOICE(field_, type_, choices_) \
	.kind = SETTING_CHOICE, .choices = (choices_), FIELD(field_, type_)
#define TEXT(kind_, field_) .kind = (kind_), FIELD(field_, const char *)

const struct config_setting config_settings[] = {
	{"K8SLB_SERVICES", SETTING_SAYS_WHAT, "", "unset: nothing is done",
	 "what to balance; NAME `*`: all", .kind = SETTING_SERVICES},
	{"K8SLB_NAMESPACE", SETTING_SAYS_WHAT, "default", "the Pod's own, else `default`",
	 "namespace of bare names", .kind = SETTING_NAMESPACE},
	{"K8SLB_ONLY", SETTING_OF_PROGRAM, "", "all programs", "the only programs to act in",
	 .kind = SETTING_PROGRAMS},
	{"K8SLB_SKIP", SETTING_OF_PROGRAM, "", "none", "programs to stay out of",
	 .kind = SETTING_PROGRAMS},
	{"K8SLB_API", SETTING_SAYS_WHERE, "http://127.0.0.1:8001",
	 "the Pod's own, else `http://127.0.0.1:8001`",
	 "the API server, or a dump of Services and EndpointSlices", .kind = SETTING_API},
	{"K8SLB_TOKEN_FILE", SETTING_SAYS_WHERE, "", "the Pod's service account",
	 "file with the bearer token", TEXT(SETTING_SECRET_PATH, token_file)},
	{"K8SLB_CA_FILE", SETTING_SAYS_WHERE, "", "the Pod's service account",
	 "PEM file with the authorities that verify the API server", TEXT(SETTING_PATH, ca_file)},
	{"K8SLB_CERT_FILE", SETTING_SAYS_WHERE, "", "none", "PEM file with a client certificate",
	 TEXT(SETTING_PATH, cert_file)},
	{"K8SLB_KEY_FILE", SETTING_SAYS_WHERE, "", "none", "PEM file with its key",
	 TEXT(SETTING_SECRET_PATH, key_file)},
	{"K8SLB_DISCOVERY", SETTING_SAYS_WHERE, "auto", NULL,
	 "where endpoints are read from; `auto`: the first of the two that the API server allows",
	 CHOICE(discovery, enum discovery_mode, discovery_modes)},
	{"K8SLB_MESH", SETTING_OF_PROGRAM, "avoid", NULL,
	 "where a service mesh's proxy is in the Pod: stay out, or `ignore` it",
	 CHOICE(mesh, enum mesh_mode, mesh_modes)},
	{"K8SLB_SYNC_INTERVAL", SETTING_SAYS_WHEN, "30", NULL,
	 "time between two reads where no watch is allowed, s",
	 NUMBER(sync_interval_ms, 1, 86400, SECOND_MS)},
	{"K8SLB_RETRY_DELAY", SETTING_SAYS_WHEN, "5", NULL, "measure of the pauses after errors, s",
	 NUMBER(retry_delay_ms, 1, 3600, SECOND_MS)},
	{"K8SLB_SYNC_TIMEOUT", SETTING_OF_PROGRAM, "2000", NULL,
	 "longest wait for the first table, ms; 0: none", NUMBER(sync_timeout_ms, 0, 60000, 1)},
	{"K8SLB_MAX_AGE", SETTING_SAYS_WHEN, "300", NULL,
	 "how long what nothing is heard of from the API server is believed, s; 0: for ever",
	 NUMBER(max_age_s, 0, 31536000, 1)},
	{"K8SLB_TABLE", SETTING_OF_PROGRAM, "", "none",
	 "socket of a `k8slb agent` whose table is read: no thread and no request here",
	 TEXT(SETTING_PATH, table_path)},
	{"K8SLB_TABLE_UID", SETTING_OF_PROGRAM, "", "root, or the program's own",
	 "number of the user that the agent of `K8SLB_TABLE` runs as",
	 NUMBER(table_uid, 0, UINT32_MAX - 1, 1)},
	{"K8SLB_POLICY", SETTING_OF_PROGRAM, "round_robin", NULL, "which endpoint is next",
	 CHOICE(policy, enum balance_policy, policies)},
	{"K8SLB_RESOLVE", SETTING_OF_PROGRAM, "vip", NULL,
	 "what a lookup of a Service's name answers",
	 CHOICE(resolve, enum resolve_mode, resolve_modes)},
	{"K8SLB_NAMES", SETTING_OF_PROGRAM, "resolver", NULL,
	 "which names are Services: those that the host's resolver asks the cluster for, or "
	 "`always` "
	 "all forms",
	 CHOICE(names, enum names_mode, names_modes)},
	{"K8SLB_NODE", SETTING_SAYS_WHAT, "", "inferred, else unknown",
	 "name of the Node that this Pod runs on", .most = NODE_LONGEST,
	 TEXT(SETTING_OBJECT_NAME, node)},
	{"K8SLB_ZONE", SETTING_SAYS_WHAT, "", "inferred, else unknown", "its zone",
	 .most = ZONE_LONGEST, TEXT(SETTING_OBJECT_NAME, zone)},
	{"K8SLB_CONNECT_TIMEOUT", SETTING_OF_PROGRAM, "300", NULL,
	 "longest try of one endpoint while something follows it, ms",
	 NUMBER(connect_timeout_ms, 50, 600000, 1)},
	{"K8SLB_ATTEMPTS", SETTING_OF_PROGRAM, "3", NULL,
	 "endpoints tried for one connection; 1: no failover", NUMBER(attempts, 1, 16, 1)},
	{"K8SLB_FALLBACK", SETTING_OF_PROGRAM, "vip", NULL,
	 "what follows when no endpoint takes a connection; `none`: nothing serves Services' "
	 "addresses here",
	 CHOICE(fallback, enum fallback_mode, fallback_modes)},
	{"K8SLB_EVENTS", SETTING_OF_PROGRAM, "on", NULL,
	 "whether a non-blocking connection that failed goes on to another endpoint before the program "
	 "sees it",
	 CHOICE(events, enum events_mode, events_modes)},
	{"K8SLB_LOG", SETTING_OF_PROGRAM, "off", NULL,
	 "what is told, to standard error or to a file", .kind = SETTING_LOG, .choices = log_levels,
	 FIELD(log_level, enum log_level)},
	{0},
};

_Static_assert(sizeof(config_settings) / sizeof(config_settings[0]) <= SETTINGS_MAX + 1,
	       "a place for each row");

const struct config_setting *config_setting(const char *name)
{
	const struct config_setting *setting = config_settings;

	while (setting->name && strcmp(setting->name, name) != 0)
		setting++;
	return setting->name ? setting : NULL;
}

/* "`a`, `b` or `c`" and @end. */
static void join_choices(const char *const *choices, const char *end, char *text)
{
	size_t length = 0;

	for (unsigned i = 0; choices[i]; i++) {
		const char *between = i == 0 ? "" : choices[i + 1] ? ", " : " or ";

		length += (size_t)snprintf(text + length, SETTING_TEXT_SIZE - length, "%s`%s`",
					   between, choices[i]);
	}
	snprintf(text + length, SETTING_TEXT_SIZE - length, "%s", end);
}

void setting_expected(const struct config_setting *setting, char text[SETTING_TEXT_SIZE])
{
	const char *words = "";

	switch (setting->kind) {
	case SETTING_NUMBER:
		snprintf(text, SETTING_TEXT_SIZE, "%u to %u", setting->least, setting->most);
		return;
	case SETTING_CHOICE:
		join_choices(setting->choices, "", text);
		return;
	case SETTING_LOG:
		join_choices(setting->choices, ", with `:/PATH` if wanted", text);
		return;
	case SETTING_OBJECT_NAME:
		snprintf(text, SETTING_TEXT_SIZE,
			 "1 to %u of letters, digits, \"-\", \"_\" and \".\"", setting->most);
		return;
	case SETTING_SERVICES:
		words = "`[NAMESPACE/]NAME[:PORT][@VIP[:PORT]]`, separated by commas or spaces";
		break;
	case SETTING_PROGRAMS:
		words = "program names, separated by commas or spaces";
		break;
	case SETTING_PATH:
	case SETTING_SECRET_PATH:
		words = "an absolute path";
		break;
	case SETTING_NAMESPACE:
		words = "a namespace: 1 to 63 of a-z, 0-9 and inner \"-\"";
		break;
	case SETTING_API:
		words = "`http://HOST[:PORT][/PATH]`, `https://...` or `file:/PATH`";
		break;
	}
	snprintf(text, SETTING_TEXT_SIZE, "%s", words);
}

void setting_default(const struct config_setting *setting, char text[SETTING_TEXT_SIZE])
{
	if (setting->default_words)
		snprintf(text, SETTING_TEXT_SIZE, "%s", setting->default_words);
	else
		snprintf(text, SETTING_TEXT_SIZE, "`%s`", setting->default_value);
}

void setting_option(const struct config_setting *setting, char text[SETTING_TEXT_SIZE])
{
	snprintf(text, SETTING_TEXT_SIZE, "%s", setting->name + strlen("K8SLB_"));
	for (char *c = text; *c; c++)
		*c = *c == '_' ? '-' : (char)(*c | ('a' - 'A'));
}

void setting_plain(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (*from != '`')
			*to++ = *from;
	}
	*to = '\0';
}
