// SPDX-License-Identifier: Apache-2.0
/* Addresses from and to text and socket addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <cmocka.h>

#include "base/address.h"

static struct ip_address ip(const char *text)
{
	struct ip_address address;

	assert_int_equal(ip_parse(text, &address), 0);
	return address;
}

static void text_forms(void **state)
{
	static const struct {
		const char *text;
		const char *canonical; /* NULL: refused */
	} cases[] = {
		{"10.96.0.1", "10.96.0.1"},
		{"::ffff:10.96.0.1", "10.96.0.1"},
		{"fd00:0:0::1", "fd00::1"},
		{"FD00::A", "fd00::a"},
		{"::", "::"},
		{"", NULL},
		{"10.96.0", NULL},
		{"10.96.0.256", NULL},
		{"010.0.0.1", NULL},
		{"10.96.0.1 ", NULL},
		{"10.96.0.1:80", NULL},
		{"[fd00::1]", NULL},
		{"fe80::1%eth0", NULL},
		{"fd00::1::2", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_address address;
		char text[IP_TEXT_SIZE];
		int rc = ip_parse(cases[i].text, &address);

		assert_int_equal(rc, cases[i].canonical ? 0 : -EINVAL);
		if (rc < 0)
			continue;
		ip_format(&address, text, sizeof(text));
		assert_string_equal(text, cases[i].canonical);
	}
}

static void text_with_port(void **state)
{
	struct ip_address v4 = ip("10.0.0.1");
	struct ip_address v6 = ip("fd00::1");
	char text[IP_TEXT_SIZE];

	(void)state;
	ip_port_format(&v4, 80, text, sizeof(text));
	assert_string_equal(text, "10.0.0.1:80");
	ip_port_format(&v6, 65535, text, sizeof(text));
	assert_string_equal(text, "[fd00::1]:65535");
}

static void never_in_a_cluster(void **state)
{
	static const struct {
		const char *text;
		bool never;
	} cases[] = {
		{"0.0.0.0", true},
		{"0.1.2.3", true},
		{"127.0.0.1", true},
		{"127.0.0.2", true},
		{"127.96.0.1", true},
		{"169.254.1.1", true},
		{"169.253.1.1", false},
		{"223.255.255.255", false},
		{"224.0.0.1", true},
		{"255.255.255.255", true},
		{"239.255.255.255", true},
		{"240.0.0.1", false},
		{"255.255.255.254", false},
		{"128.0.0.1", false},
		{"10.96.0.1", false},
		{"::", true},
		{"::1", true},
		{"::2", false},
		{"fe80::1", true},
		{"febf::1", true},
		{"fec0::1", false},
		{"ff02::1", true},
		{"fd00::1", false},
		{"::ffff:127.0.0.1", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_address address = ip(cases[i].text);

		if (ip_never_cluster(&address) != cases[i].never)
			fail_msg("%s", cases[i].text);
	}
}

static void reading_socket_addresses(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct ip_address expected = ip("10.0.0.1");
	struct ip_address address;
	char unaligned[sizeof(in) + 1];
	uint16_t port;

	(void)state;
	in.sin_addr.s_addr = htonl(0x0a000001);
	assert_int_equal(sockaddr_read((void *)&in, sizeof(in), &address, &port), 0);
	assert_true(ip_equal(&address, &expected));
	assert_int_equal(port, 80);
	memcpy(unaligned + 1, &in, sizeof(in));
	assert_int_equal(sockaddr_read((void *)(unaligned + 1), sizeof(in), &address, &port), 0);
	assert_true(ip_equal(&address, &expected));

	memcpy(&in6.sin6_addr, expected.bytes, 16);
	assert_int_equal(sockaddr_read((void *)&in6, sizeof(in6), &address, &port), 0);
	assert_true(ip_equal(&address, &expected));
	assert_int_equal(port, 443);

	assert_int_equal(sockaddr_read(NULL, sizeof(in), &address, &port), -EINVAL);
	assert_int_equal(sockaddr_read((void *)&in, 0, &address, &port), -EINVAL);
	assert_int_equal(sockaddr_read((void *)&in, 1, &address, &port), -EINVAL);
	assert_int_equal(sockaddr_read((void *)&in, sizeof(in) - 1, &address, &port), -EINVAL);
	assert_int_equal(sockaddr_read((void *)&in6, sizeof(in6) - 4, &address, &port), -EINVAL);
	assert_int_equal(sockaddr_read((void *)&un, sizeof(un), &address, &port), -EINVAL);
}

static void sloppy_text_forms(void **state)
{
	static const char *const wrong[] = {"",		 "10.1.2",   "10.1.2.3.4",
					    "256.0.0.1", "10.1.2.x", "0010",
					    "10.1.2.3 ", "10..2.3",  "0x10.1.2.3"};
	struct ip_address expected;
	struct ip_address address;

	(void)state;
	expected = ip("10.0.2.30");
	assert_int_equal(ip_parse_sloppy("10.0.2.30", &address), 0);
	assert_true(ip_equal(&address, &expected));
	assert_int_equal(ip_parse_sloppy("010.000.002.0000030", &address), 0);
	assert_true(ip_equal(&address, &expected));
	expected = ip("0.0.0.0");
	assert_int_equal(ip_parse_sloppy("0.00.000.0", &address), 0);
	assert_true(ip_equal(&address, &expected));
	expected = ip("fd00::10");
	assert_int_equal(ip_parse_sloppy("FD00:0:0::10", &address), 0);
	assert_true(ip_equal(&address, &expected));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(ip_parse_sloppy(wrong[i], &address), -EINVAL);
}

static void rewriting_keeps_the_form(void **state)
{
	struct ip_address v4 = ip("10.0.0.2");
	struct ip_address v6 = ip("fd00::2");
	struct sockaddr_storage storage;
	struct sockaddr_in *in = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;

	(void)state;
	memset(&storage, 0, sizeof(storage));
	in->sin_family = AF_INET;
	assert_int_equal(sockaddr_rewrite(&storage, &v4, 8080), 0);
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(in->sin_addr.s_addr, htonl(0x0a000002));
	assert_int_equal(in->sin_port, htons(8080));
	assert_int_equal(sockaddr_rewrite(&storage, &v6, 1), -EAFNOSUPPORT);
	assert_int_equal(in->sin_port, htons(8080));

	memset(&storage, 0, sizeof(storage));
	in6->sin6_family = AF_INET6;
	in6->sin6_flowinfo = 7;
	in6->sin6_scope_id = 9;
	assert_int_equal(sockaddr_rewrite(&storage, &v4, 8080), 0);
	assert_true(IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr));
	assert_int_equal(sockaddr_rewrite(&storage, &v6, 8081), 0);
	assert_memory_equal(&in6->sin6_addr, v6.bytes, 16);
	assert_int_equal(in6->sin6_port, htons(8081));
	assert_int_equal(in6->sin6_flowinfo, 7);
	assert_int_equal(in6->sin6_scope_id, 9);

	storage.ss_family = AF_UNIX;
	assert_int_equal(sockaddr_rewrite(&storage, &v4, 1), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_forms),
		cmocka_unit_test(sloppy_text_forms),
		cmocka_unit_test(text_with_port),
		cmocka_unit_test(never_in_a_cluster),
		cmocka_unit_test(reading_socket_addresses),
		cmocka_unit_test(rewriting_keeps_the_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
