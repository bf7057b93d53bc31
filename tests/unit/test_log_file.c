// SPDX-License-Identifier: Apache-2.0
#include "engine/log_file.h"
#include "support/assert_op.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h wants the first four above first. */
#include <cmocka.h>

static char path[64];
static char content[256 * 1024];

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/k8slb-test-log-XXXXXX");
	fd = mkstemp(path);
	assert_op(fd, >=, 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static const char *read_back(void)
{
	FILE *file = fopen(path, "r");
	size_t size;

	assert_non_null(file);
	size = fread(content, 1, sizeof(content) - 1, file);
	fclose(file);
	content[size] = '\0';
	return content;
}

static struct config config_of(enum log_level level)
{
	return (struct config){.log_level = level, .log_path = path};
}

static void test_a_line_has_time_process_and_level(void **state)
{
	struct config config = config_of(LOG_LEVEL_INFO);
	char rest[64];
	unsigned year, month, day, hour, minute, second;
	int pid;
	struct tm utc;
	time_t now = time(NULL);

	(void)state;
	log_file_write(&config, LOG_LEVEL_ERROR, "words of a message");
	assert_int_equal(sscanf(read_back(), "%u-%u-%uT%u:%u:%uZ k8slb[%d] %63[^\n]", &year, &month,
				&day, &hour, &minute, &second, &pid, rest),
			 8);
	gmtime_r(&now, &utc);
	assert_int_equal(year, utc.tm_year + 1900);
	assert_int_equal(month, utc.tm_mon + 1);
	assert_in_range(day, (unsigned)utc.tm_mday - (utc.tm_mday > 1), (unsigned)utc.tm_mday);
	assert_int_equal(pid, getpid());
	assert_string_equal(rest, "error: words of a message");
}

static void test_what_is_not_wanted_is_not_written(void **state)
{
	struct config config = config_of(LOG_LEVEL_ERROR);

	(void)state;
	log_file_write(&config, LOG_LEVEL_INFO, "too much detail");
	assert_string_equal(read_back(), "");
}

static void test_errno_is_kept_when_the_log_cannot_be_written(void **state)
{
	struct config config = config_of(LOG_LEVEL_ERROR);

	(void)state;
	config.log_path = "/nowhere/at/all";
	errno = EXDEV;
	log_file_write(&config, LOG_LEVEL_ERROR, "lost");
	assert_int_equal(errno, EXDEV);
}

static void test_a_fifo_without_reader_holds_up_nobody(void **state)
{
	struct config config = config_of(LOG_LEVEL_ERROR);

	(void)state;
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(5);
	log_file_write(&config, LOG_LEVEL_ERROR, "lost");
	alarm(0);
}

static void test_control_characters_stay_on_one_line(void **state)
{
	struct config config = config_of(LOG_LEVEL_ERROR);
	struct logger logger = log_file_logger(&config);
	const char *line;

	(void)state;
	log_error(&logger, "%s", "two\nlines\x1b[31m");
	line = strstr(read_back(), "error: ");
	assert_non_null(line);
	assert_string_equal(line, "error: two?lines?[31m\n");
}

static void test_a_flood_is_cut_and_counted(void **state)
{
	struct config config = config_of(LOG_LEVEL_ERROR);
	struct logger logger = log_file_logger(&config);
	unsigned lines = 0;

	(void)state;
	for (int i = 0; i < 2000; i++)
		log_error(&logger, "line %d", i);
	for (const char *c = read_back(); *c; c++)
		lines += *c == '\n';
	/* The burst, and what the seconds of a slow machine have earned. */
	assert_in_range(lines, 1, LOG_FILE_BURST + 10 * LOG_FILE_RATE);
	usleep(2 * 1000 * 1000 / LOG_FILE_RATE);
	log_error(&logger, "after the flood");
	assert_non_null(strstr(read_back(), "lines were left out\n"));
	assert_non_null(strstr(content, "after the flood\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_line_has_time_process_and_level, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_wanted_is_not_written, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_errno_is_kept_when_the_log_cannot_be_written,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_fifo_without_reader_holds_up_nobody, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_control_characters_stay_on_one_line, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_flood_is_cut_and_counted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
