// SPDX-License-Identifier: Apache-2.0
#include "support/journal_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/json.h"
#include "support/object_walk.h"

#define MAX_OBJECTS 256
#define OBJECT_TEXT 2048

static const struct {
	enum object_kind kind;
	const char *key;
} kinds[WORLD_COLLECTIONS] = {
	{OBJECT_SERVICE, "/services?"},
	{OBJECT_ENDPOINT_SLICE, "/slices?labelSelector=a"},
	{OBJECT_ENDPOINTS, "/endpoints?"},
};

static bool is_wanted(void *ctx, const char *namespace, const char *service)
{
	(void)ctx;
	(void)namespace;
	return strcmp(service, "other") != 0;
}

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	struct process *process = ctx;

	if (level == LOG_LEVEL_ERROR)
		buffer_printf(&process->logged, "%s\n", line);
}

static void on_denied(void *owner)
{
	struct process *process = owner;

	process->denied++;
}

void process_start(struct process *process, struct memory_journal *memory, uint64_t config_hash)
{
	struct journal_options options = memory_journal_open(memory, config_hash);
	struct logger logger = {.level = LOG_LEVEL_DEBUG, .write = keep_line, .ctx = process};

	memset(process, 0, sizeof(*process));
	process->memory = memory;
	buffer_append_text(&process->logged, "");
	assert_int_equal(store_new(&process->store), 0);
	assert_int_equal(
		journal_new(&options, memory->begins * 1000003u, &logger, &process->journal), 0);
	for (unsigned i = 0; i < WORLD_COLLECTIONS; i++) {
		assert_int_equal(store_scope_open(process->store, is_wanted, process,
						  &process->scopes[i]),
				 0);
		assert_int_equal(journal_join(process->journal, &process->collections[i],
					      kinds[i].kind, kinds[i].key, process->scopes[i],
					      process),
				 0);
	}
	process->restored = journal_restore(process->journal, on_denied, &process->heard_s);
}

void process_kill(struct process *process)
{
	for (unsigned i = 0; i < WORLD_COLLECTIONS; i++)
		journal_leave(&process->collections[i]);
	journal_free(process->journal);
	store_free(process->store);
	buffer_free(&process->logged);
}

static void decode(enum object_kind kind, const char *json, struct object *object)
{
	char error[200];

	if (json_decode_object(kind, json, strlen(json), object, NULL, error, sizeof(error)) < 0)
		fail_msg("%s: %s", json, error);
}

void process_list(struct process *process, unsigned which, const char *version,
		  const char *const *jsons)
{
	struct reflector_sink sink = journal_sink(&process->collections[which]);

	assert_int_equal(sink.replace_begin(sink.ctx), 0);
	for (; *jsons; jsons++) {
		struct object object;

		decode(kinds[which].kind, *jsons, &object);
		assert_int_equal(sink.replace_item(sink.ctx, &object), 0);
		object_clear(&object);
	}
	sink.replace_commit(sink.ctx);
	sink.advance(sink.ctx, version);
}

void process_upsert(struct process *process, unsigned which, const char *json)
{
	struct reflector_sink sink = journal_sink(&process->collections[which]);
	char version[RESOURCE_VERSION_SIZE];
	struct object object;

	decode(kinds[which].kind, json, &object);
	memcpy(version, object.resource_version, sizeof(version));
	assert_int_equal(sink.upsert(sink.ctx, &object), 0);
	sink.advance(sink.ctx, version);
	object_clear(&object);
}

void process_remove(struct process *process, unsigned which, const char *version, const char *name)
{
	struct reflector_sink sink = journal_sink(&process->collections[which]);

	sink.remove(sink.ctx, "demo", name);
	sink.advance(sink.ctx, version);
}

void process_bookmark(struct process *process, unsigned which, const char *version)
{
	struct reflector_sink sink = journal_sink(&process->collections[which]);

	sink.advance(sink.ctx, version);
}

struct texts {
	char *texts[MAX_OBJECTS];
	size_t count;
};

static int collect(void *ctx, const struct object *object)
{
	struct texts *all = ctx;
	char *text = malloc(OBJECT_TEXT);

	assert_non_null(text);
	assert_in_range(all->count, 0, MAX_OBJECTS - 1);
	object_describe(object, text, OBJECT_TEXT);
	all->texts[all->count++] = text;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void process_describe(const struct process *process, char *text)
{
	size_t used = 0;

	for (unsigned i = 0; i < WORLD_COLLECTIONS; i++) {
		const struct journal_collection *collection = &process->collections[i];
		struct texts all = {.count = 0};

		used += (size_t)snprintf(text + used, WORLD_STATE_SIZE - used,
					 "%s listed %d denied %d version %s\n", kinds[i].key,
					 collection->listed, collection->denied,
					 collection->version);
		store_scope_each(process->scopes[i], collect, &all);
		qsort(all.texts, all.count, sizeof(all.texts[0]), compare);
		for (size_t t = 0; t < all.count; t++) {
			used += (size_t)snprintf(text + used, WORLD_STATE_SIZE - used, "%s",
						 all.texts[t]);
			assert_in_range(used, 0, WORLD_STATE_SIZE - 1);
			free(all.texts[t]);
		}
	}
}
