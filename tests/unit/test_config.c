// SPDX-License-Identifier: Apache-2.0
/* config_parse(): defaults, each setting right and wrong, what is read and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"
#include "config/settings.h"

#define MAX_MESSAGES 16

/* An environment, the files of a Pod, and what config_parse() did with them. */
struct world {
	const char *const *variables; /* name, value, name, value, ..., NULL */
	const char *token;	      /* NULL: no such file */
	const char *namespace;
	unsigned files_read;
	unsigned variables_read;
	unsigned message_count;
	char messages[MAX_MESSAGES][LOG_LINE_SIZE];
	struct config config;
};

static const char *world_getenv(void *ctx, const char *name)
{
	struct world *world = ctx;

	world->variables_read++;
	for (const char *const *v = world->variables; *v; v += 2) {
		if (strcmp(*v, name) == 0)
			return v[1];
	}
	return NULL;
}

static int world_read_file(void *ctx, const char *path, char *text, size_t size)
{
	struct world *world = ctx;
	const char *content = NULL;

	world->files_read++;
	if (strcmp(path, "/var/run/secrets/kubernetes.io/serviceaccount/token") == 0)
		content = world->token;
	if (strcmp(path, "/var/run/secrets/kubernetes.io/serviceaccount/namespace") == 0)
		content = world->namespace;
	if (!content)
		return -ENOENT;
	snprintf(text, size, "%s", content);
	return 0;
}

static void world_report(void *ctx, const char *message)
{
	struct world *world = ctx;

	assert_in_range(world->message_count, 0, MAX_MESSAGES - 1);
	snprintf(world->messages[world->message_count++], LOG_LINE_SIZE, "%s", message);
}

static void parse(struct world *world)
{
	struct config_source source = {
		.getenv = world_getenv,
		.read_file = world_read_file,
		.program_name = "app",
		.ctx = world,
	};

	assert_int_equal(config_parse(&source, world_report, world, &world->config), 0);
}

#define ENVIRONMENT(...)          \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static void nothing_is_read_without_services(void **state)
{
	struct world world = {.variables = ENVIRONMENT("K8SLB_POLICY", "nonsense")};

	(void)state;
	parse(&world);
	assert_int_equal(world.config.service_count, 0);
	assert_null(world.config.memory);
	assert_int_equal(world.variables_read, 1);
	assert_int_equal(world.files_read, 0);
	assert_int_equal(world.message_count, 0);
	config_free(&world.config);
}

static void defaults_are_those_of_the_documentation(void **state)
{
	struct world world = {.variables = ENVIRONMENT("K8SLB_SERVICES", "web")};
	const struct config *config = &world.config;

	(void)state;
	parse(&world);
	assert_int_equal(world.message_count, 0);
	assert_int_equal(config->service_count, 1);
	assert_string_equal(config->services[0].namespace, "default");
	assert_string_equal(config->services[0].name, "web");
	assert_string_equal(config->api_url, "http://127.0.0.1:8001");
	assert_string_equal(config->api_file, "");
	assert_string_equal(config->token_file, "");
	assert_string_equal(config->ca_file, "");
	assert_string_equal(config->namespace, "default");
	assert_int_equal(config->policy, POLICY_ROUND_ROBIN);
	assert_int_equal(config->resolve, RESOLVE_VIP);
	assert_int_equal(config->discovery, DISCOVERY_AUTO);
	assert_int_equal(config->mesh, MESH_AVOID);
	assert_int_equal(config->sync_timeout_ms, 2000);
	assert_int_equal(config->connect_timeout_ms, 300);
	assert_int_equal(config->attempts, 3);
	assert_int_equal(config->sync_interval_ms, 30000);
	assert_int_equal(config->retry_delay_ms, 5000);
	assert_int_equal(config->max_age_s, 300);
	assert_string_equal(config->node, "");
	assert_string_equal(config->zone, "");
	assert_string_equal(config->table_path, "");
	assert_int_equal(config->table_uid, UINT32_MAX);
	assert_int_equal(config->log_level, LOG_LEVEL_OFF);
	assert_string_equal(config->log_path, "");
	assert_false(config->program_excluded);
	config_free(&world.config);
}

static void every_setting_is_taken(void **state)
{
	struct world world = {
		.variables = ENVIRONMENT(
			"K8SLB_SERVICES", "web:80 shop/db:pg@10.96.0.9:5432,,*/*", "K8SLB_API",
			"https://api.test:6443/base/", "K8SLB_TOKEN_FILE", "/t", "K8SLB_CA_FILE",
			"/ca", "K8SLB_CERT_FILE", "/cert", "K8SLB_KEY_FILE", "/key",
			"K8SLB_NAMESPACE", "prod", "K8SLB_POLICY", "random", "K8SLB_RESOLVE",
			"endpoint", "K8SLB_DISCOVERY", "endpoints", "K8SLB_SYNC_TIMEOUT", "0",
			"K8SLB_CONNECT_TIMEOUT", "250", "K8SLB_ATTEMPTS", "16", "K8SLB_FALLBACK",
			"none", "K8SLB_EVENTS", "off", "K8SLB_SYNC_INTERVAL", "86400", "K8SLB_RETRY_DELAY", "1",
			"K8SLB_MAX_AGE", "31536000", "K8SLB_NODE", "n1.example", "K8SLB_ZONE",
			"eu-1a", "K8SLB_TABLE", "/dev/shm/table", "K8SLB_TABLE_UID", "65532",
			"K8SLB_LOG", "debug:/tmp/a:b", "K8SLB_ONLY", "sh,app", "K8SLB_SKIP",
			"ap appx"),
	};
	const struct config *config = &world.config;

	(void)state;
	parse(&world);
	assert_int_equal(world.message_count, 0);
	assert_int_equal(config->service_count, 3);
	assert_string_equal(config->services[0].namespace, "prod");
	assert_int_equal(config->services[0].port, 80);
	assert_string_equal(config->services[1].namespace, "shop");
	assert_string_equal(config->services[1].port_name, "pg");
	assert_int_equal(config->services[1].vip_port, 5432);
	assert_string_equal(config->services[2].name, "*");
	assert_string_equal(config->api_url, "https://api.test:6443/base");
	assert_string_equal(config->token_file, "/t");
	assert_string_equal(config->ca_file, "/ca");
	assert_string_equal(config->cert_file, "/cert");
	assert_string_equal(config->key_file, "/key");
	assert_int_equal(config->policy, POLICY_RANDOM);
	assert_int_equal(config->resolve, RESOLVE_ENDPOINT);
	assert_int_equal(config->discovery, DISCOVERY_ENDPOINTS);
	assert_int_equal(config->sync_timeout_ms, 0);
	assert_int_equal(config->connect_timeout_ms, 250);
	assert_int_equal(config->fallback, FALLBACK_NONE);
	assert_int_equal(config->events, EVENTS_OFF);
	assert_int_equal(config->attempts, 16);
	assert_int_equal(config->sync_interval_ms, 86400000);
	assert_int_equal(config->retry_delay_ms, 1000);
	assert_int_equal(config->max_age_s, 31536000);
	assert_string_equal(config->node, "n1.example");
	assert_string_equal(config->zone, "eu-1a");
	assert_string_equal(config->table_path, "/dev/shm/table");
	assert_int_equal(config->table_uid, 65532);
	assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(config->log_path, "/tmp/a:b");
	assert_false(config->program_excluded);
	assert_int_equal(world.files_read, 0);
	config_free(&world.config);
}

static void a_wrong_value_costs_only_itself(void **state)
{
	static const struct {
		const char *variable;
		const char *value;
		const char *message;
	} cases[] = {
		{"K8SLB_POLICY", "rr", "K8SLB_POLICY=\"rr\": expected round_robin or random"},
		{"K8SLB_RESOLVE", "VIP", "K8SLB_RESOLVE=\"VIP\": expected vip or endpoint"},
		{"K8SLB_DISCOVERY", "dns",
		 "K8SLB_DISCOVERY=\"dns\": expected auto, endpointslices or endpoints"},
		{"K8SLB_MESH", "off", "K8SLB_MESH=\"off\": expected avoid or ignore"},
		{"K8SLB_SYNC_TIMEOUT", "2s", "K8SLB_SYNC_TIMEOUT=\"2s\": expected 0 to 60000"},
		{"K8SLB_SYNC_TIMEOUT", "-1", "K8SLB_SYNC_TIMEOUT=\"-1\": expected 0 to 60000"},
		{"K8SLB_CONNECT_TIMEOUT", "0", "K8SLB_CONNECT_TIMEOUT=\"0\": expected 50 to 600000"},
		{"K8SLB_ATTEMPTS", "17", "K8SLB_ATTEMPTS=\"17\": expected 1 to 16"},
		{"K8SLB_FALLBACK", "off", "K8SLB_FALLBACK=\"off\": expected vip or none"},
		{"K8SLB_EVENTS", "no", "K8SLB_EVENTS=\"no\": expected on or off"},
		{"K8SLB_SYNC_INTERVAL", " 5", "K8SLB_SYNC_INTERVAL=\" 5\": expected 1 to 86400"},
		{"K8SLB_RETRY_DELAY", "99999999999999999999",
		 "K8SLB_RETRY_DELAY=\"99999999999999999999\": expected 1 to 3600"},
		{"K8SLB_MAX_AGE", "1h", "K8SLB_MAX_AGE=\"1h\": expected 0 to 31536000"},
		{"K8SLB_MAX_AGE", "31536001", "K8SLB_MAX_AGE=\"31536001\": expected 0 to 31536000"},
		{"K8SLB_NAMESPACE", "Prod",
		 "K8SLB_NAMESPACE=\"Prod\": expected a namespace: 1 to 63 of a-z, 0-9 and inner "
		 "\"-\""},
		{"POD_NAMESPACE", "a.b",
		 "POD_NAMESPACE=\"a.b\": expected a namespace: 1 to 63 of a-z, 0-9 and inner "
		 "\"-\""},
		{"K8SLB_TOKEN_FILE", "token",
		 "K8SLB_TOKEN_FILE=\"token\": expected an absolute path"},
		{"K8SLB_TOKEN_FILE", "abcdef.0123456789abcdef",
		 "K8SLB_TOKEN_FILE=\"(not shown)\": expected an absolute path"},
		{"K8SLB_CA_FILE", "./ca", "K8SLB_CA_FILE=\"./ca\": expected an absolute path"},
		{"K8SLB_CERT_FILE", "/c",
		 "K8SLB_CERT_FILE=\"/c\": expected K8SLB_KEY_FILE beside it"},
		{"K8SLB_KEY_FILE", "/k",
		 "K8SLB_KEY_FILE=\"/k\": expected K8SLB_CERT_FILE beside it"},
		{"K8SLB_TABLE", "table", "K8SLB_TABLE=\"table\": expected an absolute path"},
		{"K8SLB_NODE", "n 1",
		 "K8SLB_NODE=\"n 1\": expected 1 to 253 of letters, digits, \"-\", \"_\" and "
		 "\".\""},
		{"K8SLB_ZONE", "z/1",
		 "K8SLB_ZONE=\"z/1\": expected 1 to 63 of letters, digits, \"-\", \"_\" and \".\""},
		{"K8SLB_LOG", "verbose",
		 "K8SLB_LOG=\"verbose\": expected off, error, info or debug, with :/PATH if "
		 "wanted"},
		{"K8SLB_LOG", "debug:log",
		 "K8SLB_LOG=\"debug:log\": expected off, error, info or debug, with :/PATH if "
		 "wanted"},
		{"K8SLB_API", "10.96.0.1",
		 "K8SLB_API=\"10.96.0.1\": expected http://HOST[:PORT][/PATH], https://... or "
		 "file:/PATH"},
		{"K8SLB_API", "file:dump.json",
		 "K8SLB_API=\"file:dump.json\": expected http://HOST[:PORT][/PATH], https://... or "
		 "file:/PATH"},
		{"K8SLB_API", "https://me:secret@api",
		 "K8SLB_API=\"...@api\": expected http://HOST[:PORT][/PATH], https://... or "
		 "file:/PATH"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = {
			.variables = ENVIRONMENT("K8SLB_SERVICES", "web", cases[i].variable,
						 cases[i].value),
		};
		struct world plain = {.variables = ENVIRONMENT("K8SLB_SERVICES", "web")};

		parse(&world);
		parse(&plain);
		assert_int_equal(world.message_count, 1);
		assert_string_equal(world.messages[0], cases[i].message);
		assert_int_equal(world.config.service_count, 1);
		assert_string_equal(world.config.api_url, plain.config.api_url);
		assert_string_equal(world.config.namespace, plain.config.namespace);
		assert_string_equal(world.config.token_file, "");
		assert_string_equal(world.config.cert_file, "");
		assert_int_equal(world.config.policy, plain.config.policy);
		assert_int_equal(world.config.sync_timeout_ms, plain.config.sync_timeout_ms);
		assert_int_equal(world.config.attempts, plain.config.attempts);
		assert_int_equal(world.config.log_level, LOG_LEVEL_OFF);
		config_free(&world.config);
		config_free(&plain.config);
	}
}

static void a_wrong_entry_leaves_the_others(void **state)
{
	struct world world = {
		.variables = ENVIRONMENT("K8SLB_SERVICES", "web:0 Shop,db:99999\tapi c\033ache"),
	};

	(void)state;
	parse(&world);
	assert_int_equal(world.config.service_count, 1);
	assert_string_equal(world.config.services[0].name, "api");
	assert_int_equal(world.message_count, 4);
	assert_string_equal(world.messages[0],
			    "K8SLB_SERVICES entry \"web:0\": port 0 is not within 1 to 65535");
	assert_string_equal(
		world.messages[1],
		"K8SLB_SERVICES entry \"Shop\": \"Shop\" is not a Service name (1 to 63 "
		"of a-z, 0-9 and inner \"-\")");
	assert_string_equal(
		world.messages[2],
		"K8SLB_SERVICES entry \"db:99999\": port 99999 is not within 1 to 65535");
	/* What a terminal would obey is not shown. */
	assert_string_equal(
		world.messages[3],
		"K8SLB_SERVICES entry \"c?ache\": \"c?ache\" is not a Service name (1 to "
		"63 of a-z, 0-9 and inner \"-\")");
	config_free(&world.config);
}

static void a_long_value_is_cut_in_the_message(void **state)
{
	char value[301];
	struct world world = {
		.variables = ENVIRONMENT("K8SLB_SERVICES", value, "K8SLB_POLICY", value),
	};

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	parse(&world);
	assert_int_equal(world.config.service_count, 0);
	assert_int_equal(world.message_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_non_null(strstr(world.messages[i], "xxx...\""));
		assert_in_range(strlen(world.messages[i]), 80, 250);
	}
	config_free(&world.config);
}

static void in_a_pod_the_api_server_is_its_own(void **state)
{
	struct world world = {
		.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "KUBERNETES_SERVICE_HOST",
					 "10.96.0.1", "KUBERNETES_SERVICE_PORT", "443"),
		.token = "secret",
		.namespace = "shop",
	};

	(void)state;
	parse(&world);
	assert_int_equal(world.message_count, 0);
	assert_string_equal(world.config.api_url, "https://10.96.0.1:443");
	assert_string_equal(world.config.token_file,
			    "/var/run/secrets/kubernetes.io/serviceaccount/token");
	assert_string_equal(world.config.ca_file,
			    "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
	assert_string_equal(world.config.namespace, "shop");
	assert_string_equal(world.config.services[0].namespace, "shop");
	config_free(&world.config);

	world.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "KUBERNETES_SERVICE_HOST", "fd00::1",
				      "KUBERNETES_SERVICE_PORT", "443", "K8SLB_TOKEN_FILE", "/mine",
				      "POD_NAMESPACE", "other");
	parse(&world);
	assert_string_equal(world.config.api_url, "https://[fd00::1]:443");
	assert_string_equal(world.config.token_file, "/mine");
	assert_string_equal(world.config.namespace, "other");
	config_free(&world.config);
}

static void a_pod_without_a_token_asks_its_proxy(void **state)
{
	struct world world = {
		.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "KUBERNETES_SERVICE_HOST",
					 "10.96.0.1", "KUBERNETES_SERVICE_PORT", "443"),
	};

	(void)state;
	parse(&world);
	assert_string_equal(world.config.api_url, "http://127.0.0.1:8001");
	assert_string_equal(world.config.token_file, "");
	config_free(&world.config);
}

static void the_pods_token_goes_to_no_server_with_a_ca_of_its_own(void **state)
{
	struct world world = {
		.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "K8SLB_API", "https://api"),
		.token = "secret",
	};

	(void)state;
	parse(&world);
	assert_string_equal(world.config.token_file,
			    "/var/run/secrets/kubernetes.io/serviceaccount/token");
	config_free(&world.config);

	world.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "K8SLB_API", "https://api",
				      "K8SLB_CA_FILE", "/ca");
	parse(&world);
	assert_string_equal(world.config.token_file, "");
	assert_string_equal(world.config.ca_file, "/ca");
	config_free(&world.config);

	world.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "K8SLB_API", "http://api");
	parse(&world);
	assert_string_equal(world.config.token_file, "");
	config_free(&world.config);
}

static void api_urls(void **state)
{
	static const char *const right[] = {
		"http://127.0.0.1:8001", "https://[fd00::1]:443",     "https://api",
		"http://a-b.c:1/x/y",	 "https://[::ffff:10.0.0.1]",
	};
	static const char *const wrong[] = {
		"http://",	     "https://:443",	"http://a:0",	     "http://a:65536",
		"http://a:",	     "http://a:8o",	"ftp://a",	     "http://a b",
		"http://a/?x",	     "http://a#x",	"http://[fd00::1",   "http://a/\n",
		"http://[fd00::1]x", "HTTP://a",	"http://a/\xc3\xa4", "file:",
		"http://[]:80",	     "http://a:000080",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]) + sizeof(wrong) / sizeof(wrong[0]);
	     i++) {
		bool is_right = i < sizeof(right) / sizeof(right[0]);
		const char *url = is_right ? right[i] : wrong[i - sizeof(right) / sizeof(right[0])];
		struct world world = {
			.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "K8SLB_API", url),
		};

		parse(&world);
		assert_int_equal(world.message_count, is_right ? 0 : 1);
		assert_string_equal(world.config.api_url, is_right ? url : "http://127.0.0.1:8001");
		config_free(&world.config);
	}
}

static void a_dump_replaces_the_api_server(void **state)
{
	struct world world = {
		.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "K8SLB_API", "file:/tmp/dump"),
		.token = "secret",
	};

	(void)state;
	parse(&world);
	assert_string_equal(world.config.api_url, "");
	assert_string_equal(world.config.api_file, "/tmp/dump");
	assert_string_equal(world.config.token_file, "");
	config_free(&world.config);
}

static void programs_are_chosen_by_name(void **state)
{
	static const struct {
		const char *only;
		const char *skip;
		bool excluded;
	} cases[] = {
		{"app", "", false}, {"other", "", true},    {"other app", "", false},
		{"", "app", true},  {"", "apple", false},   {"app", "app", true},
		{"appl", "", true}, {", ,app,", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = {
			.variables =
				ENVIRONMENT("K8SLB_SERVICES", "web", "K8SLB_ONLY", cases[i].only,
					    "K8SLB_SKIP", cases[i].skip, "K8SLB_POLICY", "wrong"),
		};

		parse(&world);
		assert_int_equal(world.config.program_excluded, cases[i].excluded);
		assert_int_equal(world.config.service_count, cases[i].excluded ? 0 : 1);
		/* A program to stay out of is told nothing. */
		assert_int_equal(world.message_count, cases[i].excluded ? 0 : 1);
		config_free(&world.config);
	}
}

static void values_are_copies(void **state)
{
	char api[] = "http://api";
	struct world world = {
		.variables = ENVIRONMENT("K8SLB_SERVICES", "web", "K8SLB_API", api),
	};

	(void)state;
	parse(&world);
	memset(api, 'x', sizeof(api) - 1); /* as nginx does with its environment */
	assert_string_equal(world.config.api_url, "http://api");
	config_free(&world.config);
}

static void a_default_is_a_value_that_may_be_set(void **state)
{
	const struct world plain = {.variables = ENVIRONMENT("K8SLB_SERVICES", "web")};

	(void)state;
	for (const struct config_setting *s = config_settings; s->name; s++) {
		struct world world = {
			.variables =
				ENVIRONMENT("K8SLB_SERVICES", "web", s->name, s->default_value),
		};
		struct world unset = plain;
		struct world wrong = {
			.variables = ENVIRONMENT("K8SLB_SERVICES", "web", s->name, "\t"),
		};
		char words[SETTING_TEXT_SIZE];

		if (!*s->default_value)
			continue;
		parse(&world);
		parse(&unset);
		parse(&wrong);
		assert_int_equal(world.message_count, 0);
		assert_int_equal(wrong.message_count, 1);
		assert_int_equal(config_table_identity(&world.config),
				 config_table_identity(&unset.config));
		/* All fields but texts, which lie elsewhere. */
		if (s->kind == SETTING_NUMBER || s->kind == SETTING_CHOICE ||
		    s->kind == SETTING_LOG) {
			assert_memory_equal((char *)&world.config + s->at,
					    (char *)&unset.config + s->at, sizeof(uint32_t));
			assert_memory_equal((char *)&wrong.config + s->at,
					    (char *)&unset.config + s->at, sizeof(uint32_t));
		}
		/* What is shown as the default does not hide it. */
		setting_default(s, words);
		if (!strstr(words, s->default_value))
			fail_msg("%s: the default %s is not in \"%s\"", s->name, s->default_value,
				 words);
		config_free(&world.config);
		config_free(&unset.config);
		config_free(&wrong.config);
	}
}

static void a_row_says_all(void **state)
{
	char text[SETTING_TEXT_SIZE];

	(void)state;
	for (const struct config_setting *s = config_settings; s->name; s++) {
		assert_memory_equal(s->name, "K8SLB_", strlen("K8SLB_"));
		assert_ptr_equal(config_setting(s->name), s);
		assert_int_not_equal(strlen(s->meaning), 0);
		assert_int_equal(*s->default_value || s->default_words, 1);
		setting_expected(s, text);
		assert_in_range(strlen(text), 1, sizeof(text) - 2);
		setting_option(s, text);
		assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz-"), strlen(text));
	}
	assert_null(config_setting("K8SLB_"));
	setting_expected(config_setting("K8SLB_DISCOVERY"), text);
	assert_string_equal(text, "`auto`, `endpointslices` or `endpoints`");
	setting_plain(text);
	assert_string_equal(text, "auto, endpointslices or endpoints");
	setting_option(config_setting("K8SLB_TOKEN_FILE"), text);
	assert_string_equal(text, "token-file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_read_without_services),
		cmocka_unit_test(defaults_are_those_of_the_documentation),
		cmocka_unit_test(every_setting_is_taken),
		cmocka_unit_test(a_wrong_value_costs_only_itself),
		cmocka_unit_test(a_wrong_entry_leaves_the_others),
		cmocka_unit_test(a_long_value_is_cut_in_the_message),
		cmocka_unit_test(in_a_pod_the_api_server_is_its_own),
		cmocka_unit_test(a_pod_without_a_token_asks_its_proxy),
		cmocka_unit_test(the_pods_token_goes_to_no_server_with_a_ca_of_its_own),
		cmocka_unit_test(api_urls),
		cmocka_unit_test(a_dump_replaces_the_api_server),
		cmocka_unit_test(programs_are_chosen_by_name),
		cmocka_unit_test(values_are_copies),
		cmocka_unit_test(a_default_is_a_value_that_may_be_set),
		cmocka_unit_test(a_row_says_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
