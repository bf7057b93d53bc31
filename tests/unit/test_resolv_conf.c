// SPDX-License-Identifier: Apache-2.0
/* Which names glibc and musl ask for, by resolv.conf, and whether nsswitch.conf lets them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "resolv_conf.h"

/* Lines end with "|". */
static struct resolv_conf conf_of(const char *text, enum resolv_libc libc)
{
	struct resolv_conf conf;
	char line[1200];

	resolv_conf_init(&conf);
	while (*text) {
		size_t length = strcspn(text, "|");

		snprintf(line, sizeof(line), "%.*s", (int)length, text);
		resolv_conf_line(&conf, libc, line, false);
		text += length + (text[length] == '|');
	}
	return conf;
}

static void lines(void **state)
{
	static const struct {
		const char *text;
		const char *glibc, *musl; /* the lists */
		unsigned glibc_ndots, musl_ndots;
	} cases[] = {
		{"", "", "", 1, 1},
		{"search a.b c|options ndots:5", "a.b c ", "a.b c ", 5, 5},
		{"search\ta  b\t", "a b ", "a b ", 1, 1},
		{"search a|search b", "b ", "b ", 1, 1},
		{"search a|search ", "a ", "", 1, 1},
		{"domain a b|", "a ", "a b ", 1, 1},
		{"search a|domain b", "b ", "b ", 1, 1},
		{"#search a|; search a|searchx a| search a|search", "", "", 1, 1},
		{"options ndots:99", "", "", 15, 15},
		{"options ndots:0 timeout:1", "", "", 0, 0},
		{"options edns0 ndots:2|options ndots:3", "", "", 3, 3},
		{"options xndots:4", "", "", 1, 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct resolv_conf glibc = conf_of(cases[i].text, RESOLV_GLIBC);
		struct resolv_conf musl = conf_of(cases[i].text, RESOLV_MUSL);

		assert_string_equal(glibc.search, cases[i].glibc);
		assert_string_equal(musl.search, cases[i].musl);
		assert_int_equal(glibc.ndots, cases[i].glibc_ndots);
		assert_int_equal(musl.ndots, cases[i].musl_ndots);
		assert_int_equal(glibc.cut, 0);
	}
}

static void long_lists_are_cut_and_musl_leaves_them_out(void **state)
{
	char line[1100] = "search";
	struct resolv_conf conf;

	(void)state;
	for (int i = 0; i < 40; i++)
		sprintf(line + strlen(line), " domain-%02d.example.test", i);
	conf = conf_of(line, RESOLV_GLIBC);
	assert_int_equal(conf.cut, 1);
	assert_memory_equal(conf.search, "domain-00.example.test domain-01", 32);
	conf = conf_of(line, RESOLV_MUSL);
	assert_string_equal(conf.search, "");
	line[254] = '\0';
	conf = conf_of(line, RESOLV_MUSL);
	assert_memory_equal(conf.search, "domain-00.example.test ", 23);
}

static void the_domain_of_the_cluster(void **state)
{
	static const struct {
		const char *text;
		const char *domain; /* NULL: none */
	} cases[] = {
		{"search default.svc.cluster.local svc.cluster.local cluster.local",
		 "cluster.local"},
		{"search shop.svc.Corp.Test. SVC.corp.test. corp.test", "corp.test"},
		{"search cloud.example shop.svc.k8s svc.k8s k8s", "k8s"},
		{"search svc.k8s shop.svc.k8s", "k8s"},
		/* A company's. */
		{"search svc.example.com example.com", NULL},
		{"search a.svc.example.com b.example.com", NULL},
		{"search a.svc.example.com svc.example.org", NULL},
		{"search a.svc.bad_name svc.bad_name", NULL},
		{"search a.svc. svc.", NULL},
		{"search .svc.k8s svc.k8s", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct resolv_conf conf = conf_of(cases[i].text, RESOLV_GLIBC);
		char domain[RESOLV_NAME_SIZE] = "";

		assert_int_equal(resolv_conf_domain(&conf, domain), cases[i].domain != NULL);
		assert_string_equal(domain, cases[i].domain ? cases[i].domain : "");
	}
}

/* All names of the walk, each followed by a blank. */
static const char *walk(const struct resolv_conf *conf, const char *host)
{
	static char all[4096];
	struct resolv_walk at = {.host = host};
	char name[RESOLV_NAME_SIZE];

	all[0] = '\0';
	while (resolv_walk_next(&at, conf, name))
		sprintf(all + strlen(all), "%s ", name);
	assert_false(resolv_walk_next(&at, conf, name));
	return all;
}

static void the_order_of_names(void **state)
{
	struct resolv_conf conf =
		conf_of("search dev.svc.k8s svc.k8s|options ndots:2", RESOLV_GLIBC);

	(void)state;
	assert_string_equal(walk(&conf, "web"), "web.dev.svc.k8s web.svc.k8s ");
	assert_string_equal(walk(&conf, "WEB.dev"), "web.dev.dev.svc.k8s web.dev.svc.k8s ");
	assert_string_equal(walk(&conf, "web.dev.svc"), "");
	assert_string_equal(walk(&conf, "web."), "");
	assert_string_equal(walk(&conf, ""), "");
	conf = conf_of("search a. . b", RESOLV_GLIBC);
	assert_string_equal(walk(&conf, "web"), "web.a ");
	conf = conf_of("search a|options ndots:0", RESOLV_GLIBC);
	assert_string_equal(walk(&conf, "web"), "");
	resolv_conf_of_pod(&conf, "shop", "k8s");
	assert_string_equal(walk(&conf, "web"), "web.shop.svc.k8s web.svc.k8s web.k8s ");
	resolv_conf_set_search(&conf, "x y\nz");
	assert_string_equal(walk(&conf, "web"), "web.x web.y ");
}

static void names_that_are_too_long(void **state)
{
	struct resolv_conf conf = conf_of("search a.b", RESOLV_GLIBC);
	char host[300];
	char name[RESOLV_NAME_SIZE];

	(void)state;
	memset(host, 'a', sizeof(host));
	host[250] = '\0';
	assert_string_equal(walk(&conf, host), "");
	host[249] = '\0';
	assert_int_equal(strlen(walk(&conf, host)), 254);
	host[249] = host[250] = 'a';
	host[254] = '\0';
	assert_false(resolv_name_copy(host, name));
	host[253] = '.';
	assert_true(resolv_name_copy(host, name));
	assert_int_equal(strlen(name), 253);
	assert_false(resolv_name_copy("", name));
	assert_false(resolv_name_copy(".", name));
}

static void modules_before_dns(void **state)
{
	(void)state;
	assert_true(nsswitch_asks_dns("hosts: files dns"));
	assert_true(nsswitch_asks_dns("hosts:\tdns [!UNAVAIL=return] files"));
	assert_true(nsswitch_asks_dns("hosts: files myhostname dns resolve"));
	assert_false(nsswitch_asks_dns("hosts: files mdns4_minimal [NOTFOUND=return] dns"));
	assert_false(nsswitch_asks_dns("hosts: mymachines resolve [!UNAVAIL=return] files dns"));
	assert_false(nsswitch_asks_dns("hosts: files [NOTFOUND=return] dns"));
	assert_false(nsswitch_asks_dns("hosts: files # dns"));
	assert_false(nsswitch_asks_dns("hosts: files"));
	assert_false(nsswitch_asks_dns("hosts:"));
	assert_false(nsswitch_asks_dns("hosts: dnsx"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(long_lists_are_cut_and_musl_leaves_them_out),
		cmocka_unit_test(the_domain_of_the_cluster),
		cmocka_unit_test(the_order_of_names),
		cmocka_unit_test(names_that_are_too_long),
		cmocka_unit_test(modules_before_dns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
