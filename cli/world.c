// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "input.h"
#include "kube/file.h"
#include "sync/dump.h"

/* Longest wait in one round, for the deadline to be looked at. */
#define ROUND_MS 500

static int compare_states(const void *a, const void *b)
{
	const struct service_state *left = a;
	const struct service_state *right = b;
	int order = strcmp(left->namespace, right->namespace);

	return order ? order : strcmp(left->name, right->name);
}

/* The states stay valid: nothing is fed to the store any more (store.h). */
static int take_all(struct world *world)
{
	unsigned capacity = 0;
	struct service_state state;

	while (world->source ? world->source->ops->take_changed(world->source, &state)
			     : store_take_changed(world->store, &state)) {
		if (!state.service && state.slice_count == 0)
			continue;
		if (world->count == capacity) {
			unsigned wanted = capacity ? 2 * capacity : 64;
			struct service_state *grown =
				realloc(world->services, wanted * sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			world->services = grown;
			capacity = wanted;
		}
		world->services[world->count++] = state;
	}
	if (world->count)
		qsort(world->services, world->count, sizeof(*world->services), compare_states);
	return 0;
}

static int finish(struct world *world, int rc, struct world *ret_world)
{
	if (rc == 0)
		rc = take_all(world);
	if (rc < 0)
		world_free(world);
	else
		*ret_world = *world;
	return rc;
}

/* Endpoints without their Services, or other things altogether, can explain nothing. */
static int check_counts(const struct dump_counts *counts, char *problem, size_t problem_size)
{
	unsigned slices = counts->slices + counts->endpoints;

	if (counts->services || (!slices && !counts->others))
		return 0;
	snprintf(problem, problem_size,
		 "no Services, but %u EndpointSlices or Endpoints, and %u other objects", slices,
		 counts->others);
	return -EINVAL;
}

int world_read(const char *path, const struct logger *logger, struct world *ret_world, char *error,
	       size_t error_size)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	struct buffer content = {.limit = LIMIT_FILE_BYTES};
	char problem[256] = "out of memory";
	struct dump_counts counts;
	struct world world = {0};
	struct dump dump;
	int rc = input_read(path, &content);

	if (rc < 0)
		snprintf(problem, sizeof(problem), "%s", file_read_problem(rc));
	if (rc == 0)
		rc = store_new(&world.store);
	if (rc == 0)
		store_set_logger(world.store, logger);
	if (rc == 0)
		rc = dump_init(&dump, world.store, NULL, NULL, logger);
	if (rc == 0)
		rc = dump_read(&dump, content.data ? content.data : "", content.length, &counts,
			       problem, sizeof(problem));
	buffer_free(&content);
	if (rc == 0)
		rc = check_counts(&counts, problem, sizeof(problem));
	rc = finish(&world, rc, ret_world);
	if (rc < 0)
		snprintf(error, error_size, "%s: %s", name, problem);
	return rc;
}

/* Of a server that gives no answer the last problem is enough; the lines before say the same. */
struct held_lines {
	size_t length;
	char text[16 * LOG_LINE_SIZE]; /* each with a NUL behind it; what does not fit is lost */
};

static void hold_line(void *ctx, enum log_level level, const char *line)
{
	struct held_lines *held = ctx;

	size_t size = strlen(line) + 1;

	(void)level;
	if (size > sizeof(held->text) - held->length)
		return;
	memcpy(held->text + held->length, line, size);
	held->length += size;
}

static void let_lines_go(const struct held_lines *held, const struct logger *logger)
{
	for (size_t i = 0; i < held->length; i += strlen(held->text + i) + 1)
		log_error(logger, "%s", held->text + i);
}

static int wait_for_answers(struct source *source, const char *url, char *error, size_t error_size)
{
	uint64_t deadline_ms = clock_monotonic_ms() + WORLD_ASK_MS;

	while (!source->ops->state(source).attempted) {
		if (clock_monotonic_ms() >= deadline_ms) {
			snprintf(error, error_size, "%s: no answer within %u s", url,
				 WORLD_ASK_MS / 1000);
			return -ETIMEDOUT;
		}
		source->ops->run(source, ROUND_MS, NULL);
	}
	if (source->ops->state(source).synced)
		return 0;
	snprintf(error, error_size, "%s: %s", url, source->ops->state(source).problem);
	return -EIO;
}

int world_ask(const struct pipeline_options *options, const struct logger *logger,
	      struct world *ret_world, char *error, size_t error_size)
{
	struct world world = {.held_lines = calloc(1, sizeof(*world.held_lines))};
	struct logger holder = {
		.level = logger->level,
		.write = hold_line,
		.ctx = world.held_lines,
	};
	int rc = world.held_lines ? 0 : -ENOMEM;

	snprintf(error, error_size, "out of memory");
	if (rc == 0)
		rc = api_source_new(options, &holder, &world.source, error, error_size);
	if (rc == 0)
		rc = wait_for_answers(world.source, options->api_url, error, error_size);
	if (rc == 0)
		let_lines_go(world.held_lines, logger);
	return finish(&world, rc, ret_world);
}

void world_free(struct world *world)
{
	free(world->services);
	if (world->source)
		world->source->ops->free(world->source);
	store_free(world->store);
	free(world->held_lines);
	memset(world, 0, sizeof(*world));
}
