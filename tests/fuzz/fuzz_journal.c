/* Fuzzes lib/sync/journal_restore.c and object_codec.c: the input is a journal, or what its records
 * say. */
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "support/object_walk.h"
#include "sync/journal.h"
#include "sync/journal_format.h"

#define CONFIG 1u
#define SALT   2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const char *data;
	size_t size;
	size_t at;
};

static ptrdiff_t read_input(void *ctx, void *data, size_t size)
{
	struct input *input = ctx;
	size_t left = input->size - input->at;

	if (size > left)
		size = left;
	memcpy(data, input->data + input->at, size);
	input->at += size;
	return (ptrdiff_t)size;
}

static void ignore_denied(void *owner)
{
	(void)owner;
}

static int walk(void *ctx, const struct object *object)
{
	size_t *sum = ctx;

	*sum += object_walk(object);
	return 0;
}

static void restore(const char *data, size_t size)
{
	static const struct {
		enum object_kind kind;
		const char *key;
	} kinds[] = {{OBJECT_SERVICE, "s"}, {OBJECT_ENDPOINT_SLICE, "e"}, {OBJECT_ENDPOINTS, "p"}};
	static const struct logger silent;
	struct input input = {data, size, 0};
	struct journal_options options = {
		.io = {.read = read_input, .ctx = &input},
		.config_hash = CONFIG,
	};
	struct journal_collection collections[3];
	struct store_scope *scopes[3];
	struct service_state state;
	struct journal *journal;
	struct store *store;
	uint64_t heard_s;
	size_t sum = 0;

	if (store_new(&store) < 0 || journal_new(&options, 0, &silent, &journal) < 0)
		abort();
	for (unsigned i = 0; i < 3; i++) {
		if (store_scope_open(store, NULL, NULL, &scopes[i]) < 0 ||
		    journal_join(journal, &collections[i], kinds[i].kind, kinds[i].key, scopes[i],
				 NULL) < 0)
			abort();
	}
	journal_restore(journal, ignore_denied, &heard_s);
	for (unsigned i = 0; i < 3; i++) {
		object_must(strlen(collections[i].version) < RESOURCE_VERSION_SIZE);
		store_scope_each(scopes[i], walk, &sum);
		journal_leave(&collections[i]);
	}
	while (store_take_changed(store, &state)) {
		for (unsigned i = 0; i < state.slice_count; i++)
			sum += object_walk_slice(state.slices[i]);
	}
	journal_free(journal);
	store_free(store);
}

/*
 * A first byte of 0: the rest as it is. Else the rest is records of a type, two bytes of length and
 * a payload each, to which the header and the right checksums are put here: else no input would get
 * past them.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_header header = {JOURNAL_MAGIC, JOURNAL_LAYOUT, CONFIG, SALT};
	struct buffer journal = {0};

	if (size < 1)
		return 0;
	if (data[0] == 0) {
		restore((const char *)data + 1, size - 1);
		return 0;
	}
	data++;
	size--;
	if (journal_frame(&journal, SALT, JOURNAL_HEADER, &header, sizeof(header)) < 0)
		abort();
	while (size >= 3) {
		size_t length = data[1] | (size_t)data[2] << 8;
		size_t left = size - 3;

		if (length > left)
			length = left;
		if (journal_frame(&journal, SALT, data[0], data + 3, length) < 0)
			abort();
		data += 3 + length;
		size -= 3 + length;
	}
	restore(journal.data, journal.length);
	buffer_free(&journal);
	return 0;
}
