/* pipeline: a round that fails again and again is told once, and all is well when the cause ends.
 */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/pipeline.h"
#include "publish/region.h"

static const char dump[] =
	"{\"items\":[{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\"},"
	"\"spec\":{\"clusterIP\":\"10.96.0.8\",\"ports\":[{\"port\":80}]}}]}";

static int failure; /* of the memory for a table; 0: none */
static unsigned told;

static int new_region(void *ctx, size_t arena_size, struct region *ret_region)
{
	(void)ctx;
	return failure ? failure : region_new(arena_size, ret_region);
}

static void count_line(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	told += strstr(line, "cannot be published") != NULL;
}

static void run_rounds(struct pipeline *pipeline)
{
	for (unsigned i = 0; i < 20; i++)
		pipeline_run(pipeline, 0);
}

static void test_a_table_that_cannot_be_published(void **state)
{
	static struct service_ref all = {.namespace = "*", .name = "*"};
	char path[] = "/tmp/k8slb-pipeline-XXXXXX";
	int fd = mkstemp(path);
	struct pipeline_options options = {
		.api_url = "",
		.api_file = path,
		.sync = {.refs = &all, .ref_count = 1, .sync_interval_ms = 20000},
		.location = {.node = "", .zone = ""},
		.new_region = new_region,
	};
	struct logger logger = {.level = LOG_LEVEL_ERROR, .write = count_line};
	struct pipeline *pipeline;
	char error[200];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, dump, sizeof(dump) - 1), sizeof(dump) - 1);
	close(fd);
	failure = -ENOSPC;
	assert_int_equal(pipeline_new(&options, &logger, &pipeline, error, sizeof(error)), 0);
	run_rounds(pipeline);
	assert_int_equal(told, 1);
	assert_int_equal(pipeline_state(pipeline).publish_failure, -ENOSPC);
	assert_int_equal(pipeline_state(pipeline).publish_failures, 20);
	/* Another reason is told, and the same one again after it was well. */
	failure = -ENOMEM;
	run_rounds(pipeline);
	assert_int_equal(told, 2);
	assert_null(pipeline_view(pipeline));
	failure = 0;
	run_rounds(pipeline);
	assert_int_equal(told, 2);
	assert_non_null(pipeline_view(pipeline));
	assert_int_equal(pipeline_state(pipeline).services, 1);
	assert_int_equal(pipeline_state(pipeline).publish_failure, 0);
	pipeline_free(pipeline);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_table_that_cannot_be_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
