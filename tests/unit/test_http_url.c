/* http_url: which addresses of an API server are taken, and which of them end at this machine. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/http_url.h"

static char error[128];

static void test_urls_that_could_lead_elsewhere_are_refused(void **state)
{
	static const char *const urls[] = {
		"",
		"127.0.0.1:80",
		"ftp://127.0.0.1",
		"file:///etc/passwd",
		"http://user@h",
		"http://u:p@h",
		"http://h#f",
		"http://h?q",
		"http://127.0.0.1:99999",
		"http://",
		"http://a b",
		"http://[::1",
	};
	struct http_url untouched = {.https = true};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		assert_int_equal(http_url_read(urls[i], &untouched, error, sizeof(error)), -EINVAL);
		assert_non_null(strstr(error, "URL"));
		assert_null(untouched.text);
		assert_true(untouched.https);
	}
}

/* @loopback decides whether a token may go there in clear. */
static void test_urls_of_every_host_form_are_taken(void **state)
{
	static const struct {
		const char *url;
		const char *text;
		bool https;
		bool loopback;
	} cases[] = {
		{"https://10.96.0.1:443", "https://10.96.0.1:443", true, false},
		{"https://[fd00::1]:6443/", "https://[fd00::1]:6443", true, false},
		{"https://kubernetes.default.svc", "https://kubernetes.default.svc", true, false},
		{"http://localhost:8001", "http://localhost:8001", false, true},
		{"http://LOCALHOST:8001", NULL, false, true},
		{"http://127.0.0.1:8001/", "http://127.0.0.1:8001", false, true},
		{"http://127.255.0.9", NULL, false, true},
		{"http://[::1]:8001", "http://[::1]:8001", false, true},
		{"http://[::2]:8001", NULL, false, false},
		{"http://128.0.0.1", NULL, false, false},
		{"http://localhost.example", NULL, false, false},
		{"http://127.0.0.1.example", NULL, false, false},
		{"https://h/prefix//", "https://h/prefix", true, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_url url;

		if (http_url_read(cases[i].url, &url, error, sizeof(error)) < 0)
			fail_msg("%s: %s", cases[i].url, error);
		if (cases[i].text)
			assert_string_equal(url.text, cases[i].text);
		if (url.https != cases[i].https || url.loopback != cases[i].loopback)
			fail_msg("%s: https %d, loopback %d", cases[i].url, url.https,
				 url.loopback);
		free(url.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls_that_could_lead_elsewhere_are_refused),
		cmocka_unit_test(test_urls_of_every_host_form_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
