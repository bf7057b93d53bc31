// SPDX-License-Identifier: Apache-2.0
/* Entries of K8SLB_SERVICES. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "base/service_ref.h"

static int parse(const char *text, struct service_ref *ref, char *error)
{
	error[0] = '\0';
	return service_ref_parse(text, strlen(text), "default", ref, error, 256);
}

static void right_entries(void **state)
{
	static const struct {
		const char *text;
		const char *namespace, *name, *port_name;
		uint16_t port;
		const char *vip; /* NULL: none */
		uint16_t vip_port;
	} cases[] = {
		{"web", "default", "web", "", 0, NULL, 0},
		{"shop/web", "shop", "web", "", 0, NULL, 0},
		{"web:80", "default", "web", "", 80, NULL, 0},
		{"web:http", "default", "web", "http", 0, NULL, 0},
		{"shop/*", "shop", "*", "", 0, NULL, 0},
		{"*", "default", "*", "", 0, NULL, 0},
		{"*/*:443", "*", "*", "", 443, NULL, 0},
		{"web:80@10.96.0.9", "default", "web", "", 80, "10.96.0.9", 0},
		{"web:http@10.96.0.9:8080", "default", "web", "http", 0, "10.96.0.9", 8080},
		{"web@10.96.0.9:8080", "default", "web", "", 0, "10.96.0.9", 8080},
		{"web:80@fd00::9", "default", "web", "", 80, "fd00::9", 0},
		{"web:80@[fd00::9]", "default", "web", "", 80, "fd00::9", 0},
		{"web@[fd00::9]:65535", "default", "web", "", 0, "fd00::9", 65535},
		{"1-a/2-b:3-c", "1-a", "2-b", "3-c", 0, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct service_ref ref;
		struct ip_address vip;
		char error[256];

		if (parse(cases[i].text, &ref, error) != 0)
			fail_msg("%s: %s", cases[i].text, error);
		assert_string_equal(ref.namespace, cases[i].namespace);
		assert_string_equal(ref.name, cases[i].name);
		assert_string_equal(ref.port_name, cases[i].port_name);
		assert_int_equal(ref.port, cases[i].port);
		assert_int_equal(ref.has_vip, cases[i].vip != NULL);
		assert_int_equal(ref.vip_port, cases[i].vip_port);
		if (cases[i].vip) {
			assert_int_equal(ip_parse(cases[i].vip, &vip), 0);
			assert_true(ip_equal(&vip, &ref.vip));
		}
	}
}

static void wrong_entries_name_the_reason(void **state)
{
	static const struct {
		const char *text;
		const char *reason; /* part of it */
	} cases[] = {
		{"", "is not a Service name"},
		{"/web", "is not a namespace"},
		{"shop/", "is not a Service name"},
		{"Web", "is not a Service name"},
		{"-web", "is not a Service name"},
		{"web-", "is not a Service name"},
		{"w.eb", "is not a Service name"},
		{"a/b/c", "is not a Service name"},
		{"*/web", "goes only with"},
		{"web:", "is neither a port number nor a port name"},
		{"web:0", "not within 1 to 65535"},
		{"web:65536", "not within 1 to 65535"},
		{"web:99999999999999999999", "not within 1 to 65535"},
		{"web:80:90", "is neither a port number nor a port name"},
		{"web:80@", "is not an IP address"},
		{"web:80@host", "is not an IP address"},
		{"web:80@10.96.0", "is not an IP address"},
		{"web:80@010.96.0.1", "is not an IP address"},
		{"web:80@[fd00::9", "is not [IPv6]"},
		{"web:80@[fd00::9]x", "is not [IPv6]"},
		{"web:80@10.96.0.9:0", "not within 1 to 65535"},
		{"web:80@127.0.0.1", "cannot be the address of a Service"},
		{"web:80@0.0.0.0", "cannot be the address of a Service"},
		{"web@10.96.0.9", "needs a port number"},
		{"web:http@10.96.0.9", "needs a port number"},
		{"*:80@10.96.0.9", "needs one Service"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct service_ref ref = {.name = "untouched"};
		char error[256];

		assert_int_equal(parse(cases[i].text, &ref, error), -EINVAL);
		if (!strstr(error, cases[i].reason))
			fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].text, error, cases[i].reason);
		assert_string_equal(ref.name, "untouched");
	}
}

static void long_and_binary_entries(void **state)
{
	struct service_ref ref;
	char text[301];
	char error[256];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[300] = '\0';
	assert_int_equal(parse(text, &ref, error), -EINVAL);
	text[64] = '\0';
	assert_int_equal(parse(text, &ref, error), -EINVAL);
	text[63] = '\0';
	assert_int_equal(parse(text, &ref, error), 0);
	assert_int_equal(service_ref_parse("a\0b", 3, "default", &ref, error, sizeof(error)),
			 -EINVAL);
	/* The length counts, not a NUL. */
	assert_int_equal(service_ref_parse("web,db", 3, "default", &ref, error, sizeof(error)), 0);
	assert_string_equal(ref.name, "web");
}

static void covering(void **state)
{
	struct service_ref web = {.namespace = "default", .name = "web", .port_name = "http"};
	struct service_ref shop = {.namespace = "shop", .name = "*", .port = 80};
	struct service_ref all = {.namespace = "*", .name = "*"};

	(void)state;
	assert_true(service_ref_covers(&web, "default", "web"));
	assert_false(service_ref_covers(&web, "default", "webx"));
	assert_false(service_ref_covers(&web, "shop", "web"));
	assert_true(service_ref_covers(&shop, "shop", "web"));
	assert_false(service_ref_covers(&shop, "default", "web"));
	assert_true(service_ref_covers(&all, "x", "y"));

	assert_true(service_ref_covers_port(&web, "http", 8080));
	assert_false(service_ref_covers_port(&web, "", 80));
	assert_true(service_ref_covers_port(&shop, "", 80));
	assert_false(service_ref_covers_port(&shop, "http", 81));
	assert_true(service_ref_covers_port(&all, "", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_entries),
		cmocka_unit_test(wrong_entries_name_the_reason),
		cmocka_unit_test(long_and_binary_entries),
		cmocka_unit_test(covering),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
