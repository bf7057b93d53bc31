// SPDX-License-Identifier: Apache-2.0
/* What a name of the cluster's domain means, and for which of them an entry asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <cmocka.h>

#include "asked.h"

#define DOMAIN "cluster.test"

static void the_forms_of_the_specification(void **state)
{
	static const struct {
		const char *host;
		enum asked_kind kind;
		const char *pod, *name, *namespace;
	} cases[] = {
		{"web.dev.svc.cluster.test", ASKED_SERVICE, "", "web", "dev"},
		{"db-0.db.dev.svc.cluster.test", ASKED_POD, "db-0", "db", "dev"},
		/* What search lists make of whole names. */
		{"web.dev.svc.svc.cluster.test", ASKED_POD, "web", "dev", "svc"},
		{"svc.svc.svc.cluster.test", ASKED_SERVICE, "", "svc", "svc"},
		{"web.svc.cluster.test", ASKED_NOTHING, "", "", ""},
		{"_http._tcp.web.dev.svc.cluster.test", ASKED_NOTHING, "", "", ""},
		{"web.dev.svc.dev.svc.cluster.test", ASKED_NOTHING, "", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct asked_name name = {.pod = ""};

		assert_int_equal(asked_kind_of(cases[i].host, DOMAIN, &name), cases[i].kind);
		assert_string_equal(name.pod, cases[i].pod);
		assert_string_equal(name.name, cases[i].name);
		assert_string_equal(name.namespace, cases[i].namespace);
	}
}

static void other_names_are_the_worlds(void **state)
{
	static const char *const hosts[] = {
		"",
		".",
		"web",
		"web.dev",
		"web.dev.svc",
		"svc.cluster.test",
		".svc.cluster.test",
		"web..svc.cluster.test",
		".web.svc.cluster.test",
		"web.dev.svcx.cluster.test",
		"web.dev.xsvc.cluster.test",
		"web.dev.svc.cluster.tes",
		"web.dev.svc.cluster.testx",
		"web.dev.svc.xcluster.test",
		"web.dev.svc.other",
		"web.dev.pod.cluster.test",
		"cluster.test",
		"web.cluster.test",
		"we_b.dev.svc.cluster.test",
		"web .dev.svc.cluster.test",
		"web\xc3\xa4.dev.svc.cluster.test",
		"_http._tcp.web.svc.cluster.test",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct asked_name name = {.name = "untouched"};

		if (asked_kind_of(hosts[i], DOMAIN, &name) != ASKED_OTHER)
			fail_msg("\"%s\" matched", hosts[i]);
		assert_string_equal(name.name, "untouched");
	}
}

static void long_labels(void **state)
{
	char host[100];
	struct asked_name name;

	(void)state;
	memset(host, 'a', 64);
	strcpy(host + 64, ".dev.svc." DOMAIN);
	assert_int_equal(asked_kind_of(host, DOMAIN, &name), ASKED_OTHER);
	assert_int_equal(asked_kind_of(host + 1, DOMAIN, &name), ASKED_SERVICE);
	assert_int_equal(strlen(name.name), 63);
}

static void entries_ask_for_services(void **state)
{
	struct service_ref refs[] = {{.namespace = "shop", .name = "*"},
				     {.namespace = "dev", .name = "web", .port = 80}};
	struct config config = {.services = refs, .service_count = 2};
	struct asked_name in_shop = {.namespace = "shop", .name = "db", .pod = "db-0"};
	struct asked_name web = {.namespace = "dev", .name = "web"};
	struct asked_name other = {.namespace = "dev", .name = "api"};

	(void)state;
	assert_true(asked_covers(&config, &in_shop));
	assert_true(asked_covers(&config, &web));
	assert_false(asked_covers(&config, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_forms_of_the_specification),
		cmocka_unit_test(other_names_are_the_worlds),
		cmocka_unit_test(long_labels),
		cmocka_unit_test(entries_ask_for_services),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
