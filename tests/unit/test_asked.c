// SPDX-License-Identifier: Apache-2.0
/* Host names that are configured Services, and those that are not; the cluster's domain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <cmocka.h>

#include "asked.h"
#include "cluster_domain.h"

static struct config config_of(struct service_ref *refs, unsigned count)
{
	return (struct config){.services = refs, .service_count = count, .namespace = "default"};
}

static void all_forms_of_a_configured_service(void **state)
{
	static const char *const hosts[] = {
		"web",
		"web.",
		"web.default",
		"web.default.",
		"web.default.svc",
		"web.default.svc.",
		"web.default.svc.cluster.test",
		"web.default.svc.cluster.test.",
		"WEB",
		"Web.Default.SVC.Cluster.TEST",
	};
	struct service_ref refs[] = {{.namespace = "default", .name = "web"}};
	struct config config = config_of(refs, 1);

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct asked_name name;

		assert_true(asked_service(&config, "cluster.test", hosts[i], &name));
		assert_string_equal(name.namespace, "default");
		assert_string_equal(name.name, "web");
	}
}

static void other_names_are_not_ours(void **state)
{
	static const char *const hosts[] = {
		"",
		".",
		"..",
		"web..",
		".web",
		"web..default",
		"web.other",
		"we",
		"webx",
		"web.default.svcx",
		"web.default.svc..",
		"web.default.svc.cluster.test..",
		"web.default.svc.cluster.tes",
		"web.default.svc.cluster.testx",
		"web.default.svc.other",
		"web.default.pod.cluster.test",
		"x.web.default.svc.cluster.test",
		"web.example.com",
		"we_b",
		"web ",
		"web.default.svc cluster.test",
		"web\xc3\xa4",
	};
	struct service_ref refs[] = {{.namespace = "default", .name = "web"}};
	struct config config = config_of(refs, 1);

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct asked_name name = {.name = "untouched"};

		if (asked_service(&config, "cluster.test", hosts[i], &name))
			fail_msg("\"%s\" matched", hosts[i]);
		assert_string_equal(name.name, "untouched");
	}
}

static void wildcards(void **state)
{
	struct service_ref refs[] = {{.namespace = "shop", .name = "*"}};
	struct config config = config_of(refs, 1);
	struct asked_name name;

	(void)state;
	assert_true(asked_service(&config, "cluster.local", "anything.shop", &name));
	assert_string_equal(name.name, "anything");
	assert_false(asked_service(&config, "cluster.local", "anything", &name));
	strcpy(refs[0].namespace, "*");
	assert_true(asked_service(&config, "cluster.local", "anything", &name));
	assert_string_equal(name.namespace, "default");
}

static void long_names(void **state)
{
	struct service_ref refs[] = {{.namespace = "*", .name = "*"}};
	struct config config = config_of(refs, 1);
	char host[301];
	struct asked_name name;

	(void)state;
	memset(host, 'a', sizeof(host) - 1);
	host[300] = '\0';
	assert_false(asked_service(&config, "cluster.local", host, &name));
	host[64] = '\0';
	assert_false(asked_service(&config, "cluster.local", host, &name));
	host[63] = '\0';
	assert_true(asked_service(&config, "cluster.local", host, &name));
	assert_int_equal(strlen(name.name), 63);
}

static void the_domain_of_resolv_conf(void **state)
{
	static const struct {
		const char *text;
		const char *domain; /* NULL: none */
	} cases[] = {
		{"search default.svc.cluster.local svc.cluster.local cluster.local\n"
		 "nameserver 10.96.0.10\noptions ndots:5\n",
		 "cluster.local"},
		{"nameserver 10.96.0.10\nsearch shop.svc.corp.test svc.corp.test corp.test",
		 "corp.test"},
		{"search\tsvc.k8s.\r\n", "k8s"},
		{"search svc.first\nsearch svc.second\n", "second"},
		{"search svc.first\nsearch example.com\n", NULL},
		{"# search svc.no\nsearchx svc.no\n search svc.no\nsearch svc.\nsearch\n", NULL},
		{"search svc.bad_name\n", NULL},
		{"search svc.-bad\n", NULL},
		{"", NULL},
		{"search", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char domain[64] = "";
		bool found = cluster_domain_from_resolv_conf(cases[i].text, domain, sizeof(domain));

		assert_int_equal(found, cases[i].domain != NULL);
		if (cases[i].domain)
			assert_string_equal(domain, cases[i].domain);
	}
}

static void a_domain_that_does_not_fit_is_none(void **state)
{
	char domain[8] = "";

	(void)state;
	assert_false(
		cluster_domain_from_resolv_conf("search svc.12345678", domain, sizeof(domain)));
	assert_true(cluster_domain_from_resolv_conf("search svc.1234567", domain, sizeof(domain)));
	assert_string_equal(domain, "1234567");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_forms_of_a_configured_service),
		cmocka_unit_test(other_names_are_not_ours),
		cmocka_unit_test(wildcards),
		cmocka_unit_test(long_names),
		cmocka_unit_test(the_domain_of_resolv_conf),
		cmocka_unit_test(a_domain_that_does_not_fit_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
