// SPDX-License-Identifier: Apache-2.0
/* What of a kubeconfig the library can do by itself, and why not the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "kube/kubeconfig.h"

#define SERVER "\"server\":\"https://10.0.0.1:6443\""
#define CA     SERVER ",\"certificate-authority\":\"/ca\""

static int decode(const char *cluster, const char *user, struct kubeconfig *config, char *error)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"kind\":\"Config\",\"current-context\":\"here\",\"clusters\":[{\"cluster\":{%s}}],"
		 "\"users\":[{\"user\":{%s}}],\"contexts\":[{\"context\":{\"namespace\":\"shop\"}}]}",
		 cluster, user);
	return kubeconfig_decode(text, strlen(text), config, error, 256);
}

static void what_needs_kubectl(void **state)
{
	static const struct {
		const char *cluster, *user, *why;
	} cases[] = {
		{CA, "\"tokenFile\":\"/token\"", ""},
		{CA, "\"client-certificate\":\"/c\",\"client-key\":\"/k\"", ""},
		{CA, "", ""},
		{"\"server\":\"http://10.0.0.1\"", "", ""},
		{CA, "\"token\":\"secret\"", "holds a token itself"},
		{CA, "\"token\":\"\",\"tokenFile\":\"/token\"", ""},
		{CA, "\"exec\":{\"command\":\"aws\"}", "logs in by the plugin aws"},
		{CA, "\"client-key-data\":\"c2VjcmV0\"", "holds a client key itself"},
		{CA, "\"as\":\"secret\",\"tokenFile\":\"/token\"", "acts as somebody else"},
		{CA, "\"tokenFile\":\"token\"", "names a file by a relative path"},
		{SERVER, "\"tokenFile\":\"/token\"", "trusts the system's certificate authorities"},
		{SERVER ",\"certificate-authority-data\":\"c2VjcmV0\"", "",
		 "holds the certificate authority itself"},
		{CA ",\"insecure-skip-tls-verify\":true", "", "does not verify the API server"},
		{CA ",\"insecure-skip-tls-verify\":false", "", ""},
		{CA ",\"proxy-url\":\"http://secret\"", "", "goes through a proxy"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kubeconfig config;
		char error[256];

		assert_int_equal(decode(cases[i].cluster, cases[i].user, &config, error), 0);
		assert_string_equal(config.why_kubectl, cases[i].why);
		assert_string_equal(config.context, "here");
		assert_string_equal(config.namespace, "shop");
		kubeconfig_free(&config);
	}
}

static void wrong_ones_name_the_reason(void **state)
{
	struct kubeconfig config;
	char error[256] = "";

	(void)state;
	assert_int_equal(decode("", "", &config, error), -EBADMSG);
	assert_non_null(strstr(error, "names no cluster with a server"));
	assert_int_equal(decode(CA, "\"tokenFile\":7", &config, error), -EBADMSG);
	assert_non_null(strstr(error, "tokenFile is not a string"));
	assert_int_equal(kubeconfig_decode("{", 1, &config, error, sizeof(error)), -EBADMSG);
	assert_int_equal(kubeconfig_decode("", 0, &config, error, sizeof(error)), -EBADMSG);
	assert_int_equal(kubeconfig_decode("[]", 2, &config, error, sizeof(error)), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_needs_kubectl),
		cmocka_unit_test(wrong_ones_name_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
