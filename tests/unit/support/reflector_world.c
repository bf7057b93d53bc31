// SPDX-License-Identifier: Apache-2.0
#include "support/reflector_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/objects.h"

static int told_begin(void *ctx)
{
	struct world *world = ctx;

	return buffer_append_text(&world->told, "begin ");
}

static int told_object(struct world *world, const char *what, struct object *object)
{
	if (world->refuse)
		return world->refuse;
	return buffer_printf(&world->told, "%s:%s ", what, object->name);
}

static int told_item(void *ctx, struct object *object)
{
	return told_object(ctx, "item", object);
}

static int told_upsert(void *ctx, struct object *object)
{
	return told_object(ctx, "upsert", object);
}

static int told_keep(void *ctx, const char *namespace, const char *name)
{
	struct world *world = ctx;

	assert_string_equal(namespace, "demo");
	return buffer_printf(&world->told, "keep:%s ", name);
}

static void told_commit(void *ctx)
{
	struct world *world = ctx;

	buffer_append_text(&world->told, "commit ");
}

static void told_abort(void *ctx)
{
	struct world *world = ctx;

	buffer_append_text(&world->told, "abort ");
}

static void told_remove(void *ctx, const char *namespace, const char *name)
{
	struct world *world = ctx;

	assert_string_equal(namespace, "demo");
	buffer_printf(&world->told, "remove:%s ", name);
}

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	struct world *world = ctx;

	if (level == LOG_LEVEL_ERROR)
		buffer_printf(&world->logged, "%s\n", line);
}

void world_init(struct world *world)
{
	struct reflector_options options = {
		.kind = OBJECT_ENDPOINT_SLICE,
		.collection_path = SLICES_PATH,
		.selector = "labelSelector=app%3Dweb",
		.retry_delay_ms = RETRY_DELAY_MS,
		.sync_interval_ms = SYNC_INTERVAL_MS,
	};
	struct reflector_sink sink = {
		.replace_begin = told_begin,
		.replace_item = told_item,
		.replace_keep = told_keep,
		.replace_commit = told_commit,
		.replace_abort = told_abort,
		.upsert = told_upsert,
		.remove = told_remove,
		.ctx = world,
	};
	struct logger logger = {.level = LOG_LEVEL_DEBUG, .write = keep_line, .ctx = world};

	memset(world, 0, sizeof(*world));
	fake_io_init(&world->fake);
	buffer_append_text(&world->told, "");
	buffer_append_text(&world->logged, "");
	assert_int_equal(
		reflector_init(&world->reflector, &options, &world->fake.io, &sink, &logger), 0);
	assert_int_equal(world->fake.count, 0);
	reflector_tick(&world->reflector);
}

void world_free(struct world *world)
{
	reflector_stop(&world->reflector);
	fake_io_free(&world->fake);
	buffer_free(&world->told);
	buffer_free(&world->logged);
}

const char *world_told(struct world *world)
{
	static char copy[1024];

	assert_in_range(world->told.length, 0, sizeof(copy) - 1);
	memcpy(copy, world->told.data, world->told.length + 1);
	buffer_clear(&world->told);
	return copy;
}

void world_pass(struct world *world, uint64_t ms)
{
	world->fake.now_ms += ms;
	reflector_tick(&world->reflector);
}

size_t world_lists(const struct world *world)
{
	return world->fake.count - fake_count(&world->fake, "watch=true");
}

uint64_t world_pause_ms(const struct world *world)
{
	assert_int_equal(world->reflector.state, REFLECTOR_WAITING);
	return reflector_deadline_ms(&world->reflector) - world->fake.now_ms;
}

void world_init_watching(struct world *world)
{
	world_init(world);
	fake_answer(&world->fake, 200,
		    text_list("EndpointSliceList", "100", NULL,
			      text_slice("a", "web", "90", "10.1.0.1")));
	assert_string_equal(world_told(world), "begin item:a commit ");
	fake_status(&world->fake, 200, -1);
	assert_int_equal(world->reflector.state, REFLECTOR_RUNNING);
	assert_int_equal(world->reflector.request, REFLECTOR_WATCH);
}
