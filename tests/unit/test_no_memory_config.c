// SPDX-License-Identifier: Apache-2.0
/* config: settings without memory are an error, and leave nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "support/failing_memory.h"

static const char *get(void *ctx, const char *name)
{
	(void)ctx;
	if (strcmp(name, "K8SLB_SERVICES") == 0)
		return "web shop/db:pg@10.96.0.9:5432";
	return strcmp(name, "K8SLB_TOKEN_FILE") == 0 ? "/token" : NULL;
}

static int no_file(void *ctx, const char *path, char *text, size_t size)
{
	(void)ctx;
	(void)path;
	(void)text;
	(void)size;
	return -ENOENT;
}

static void scenario(void)
{
	struct config_source source = {.getenv = get, .read_file = no_file, .program_name = "app"};
	struct config config = {.attempts = 77};
	int rc = config_parse(&source, NULL, NULL, &config);

	if (failing_memory_has_failed()) {
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(config.attempts, 77);
		return;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(config.service_count, 2);
	assert_string_equal(config.token_file, "/token");
	config_free(&config);
}

static void no_settings_or_all(void **state)
{
	(void)state;
	failing_memory_try("config", scenario);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(no_settings_or_all, failing_memory_teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
