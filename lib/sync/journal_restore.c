// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/bytes.h"
#include "sync/journal_format.h"
#include "sync/journal_state.h"
#include "sync/object_codec.h"

#define READ_SIZE (64u * 1024)

struct restore {
	struct journal *journal;
	void (*on_denied)(void *owner);
	uint64_t salt;
	uint64_t heard_s;
	/* What was read and not taken yet. */
	char *data;
	size_t start;
	size_t end;
	size_t capacity;
	uint64_t total;
	/* By the number less 1; NULL: nobody asks for it any more. */
	struct journal_collection **collections;
	uint32_t count;
	uint32_t listing; /* the number of the list that is open; 0: none */
	uint32_t items;	  /* of it */
};

/* Returns 1 when @size bytes are there, 0 when the journal ends before, or -ENOMEM. */
static int fill(struct restore *restore, size_t size)
{
	const struct journal_io *io = &restore->journal->options.io;

	if (restore->end - restore->start >= size)
		return 1;
	if (restore->end > restore->start)
		memmove(restore->data, restore->data + restore->start,
			restore->end - restore->start);
	restore->end -= restore->start;
	restore->start = 0;
	if (restore->capacity < size + READ_SIZE) {
		char *grown = realloc(restore->data, size + READ_SIZE);

		if (!grown)
			return -ENOMEM;
		restore->data = grown;
		restore->capacity = size + READ_SIZE;
	}
	while (restore->end < size) {
		ptrdiff_t got = io->read(io->ctx, restore->data + restore->end,
					 restore->capacity - restore->end);

		if (got <= 0)
			return 0;
		restore->end += (size_t)got;
		restore->total += (uint64_t)got;
		if (restore->total > JOURNAL_SIZE_LIMIT)
			return 0;
	}
	return 1;
}

/* Returns 1 with a record whose checksum is right, 0 when there is none, or -ENOMEM. The first one
 * has the salt of all. */
static int next_record(struct restore *restore, bool first, uint32_t *ret_type,
		       struct bytes *ret_payload)
{
	struct journal_record record;
	struct journal_header header;
	const char *payload;
	int rc = fill(restore, sizeof(record));

	if (rc <= 0)
		return rc;
	memcpy(&record, restore->data + restore->start, sizeof(record));
	if (record.length > JOURNAL_PAYLOAD_LIMIT || first != (record.type == JOURNAL_HEADER) ||
	    (first && record.length != sizeof(header)))
		return 0;
	rc = fill(restore, sizeof(record) + record.length);
	if (rc <= 0)
		return rc;
	payload = restore->data + restore->start + sizeof(record);
	if (first) {
		memcpy(&header, payload, sizeof(header));
		restore->salt = header.salt;
	}
	if (journal_checksum(restore->salt, record.type, payload, record.length) != record.checksum)
		return 0;
	restore->start += sizeof(record) + record.length;
	*ret_type = record.type;
	*ret_payload = bytes_of(payload, record.length);
	return 1;
}

static int check_header(const struct restore *restore, struct bytes *payload)
{
	struct journal_header header;

	bytes_read(payload, &header, sizeof(header));
	return header.magic == JOURNAL_MAGIC && header.layout == JOURNAL_LAYOUT &&
			       header.config_hash == restore->journal->options.config_hash
		       ? 0
		       : -EBADMSG;
}

/* ---- records: each returns 0, -EBADMSG for what no journal says, or -ENOMEM ---- */

static struct journal_collection *find_collection(const struct journal *journal, uint64_t kind,
						  const char *key, size_t length)
{
	for (struct journal_collection *c = journal->collections; c; c = c->next) {
		if (c->kind == (enum object_kind)kind && strlen(c->key) == length &&
		    memcmp(c->key, key, length) == 0)
			return c;
	}
	return NULL;
}

static int take_collection(struct restore *restore, struct bytes *payload)
{
	uint64_t number = bytes_read_number(payload, JOURNAL_COLLECTION_LIMIT);
	uint64_t kind = bytes_read_number(payload, OBJECT_ENDPOINTS);
	size_t length;
	const char *key = bytes_read_text(payload, &length);
	struct journal_collection **grown;

	if (!bytes_done(payload) || number != restore->count + 1 || length > JOURNAL_KEY_LIMIT)
		return -EBADMSG;
	grown = realloc(restore->collections, number * sizeof(restore->collections[0]));
	if (!grown)
		return -ENOMEM;
	restore->collections = grown;
	restore->collections[restore->count++] =
		find_collection(restore->journal, kind, key, length);
	return 0;
}

/* Reads the number; false: it names no collection. @ret_collection is NULL when nobody asks for it
 * any more. */
static bool take_number(const struct restore *restore, struct bytes *payload, uint32_t *ret_number,
			struct journal_collection **ret_collection)
{
	uint32_t number = (uint32_t)bytes_read_number(payload, restore->count);

	if (number == 0)
		return false;
	*ret_number = number;
	*ret_collection = restore->collections[number - 1];
	return true;
}

static int advance(struct journal_collection *collection, const char *version)
{
	memcpy(collection->version, version, strlen(version) + 1);
	return 0;
}

static void read_version(struct bytes *payload, char version[RESOURCE_VERSION_SIZE])
{
	bytes_copy_text(payload, version, RESOURCE_VERSION_SIZE);
	if (strchr(version, ' '))
		payload->bad = true;
}

static int list_begin(struct restore *restore, uint32_t number,
		      struct journal_collection *collection, struct bytes *payload)
{
	if (!bytes_done(payload))
		return -EBADMSG;
	restore->listing = number;
	restore->items = 0;
	return collection ? collection->store_sink.replace_begin(collection->store_sink.ctx) : 0;
}

static int list_item(struct restore *restore, struct journal_collection *collection,
		     struct bytes *payload)
{
	struct object object;
	int rc;

	if (++restore->items > REFLECTOR_ITEM_LIMIT)
		return -EBADMSG;
	if (!collection)
		return 0;
	rc = object_decode(collection->kind, payload, &object);
	if (rc < 0)
		return rc;
	rc = bytes_done(payload)
		     ? collection->store_sink.replace_item(collection->store_sink.ctx, &object)
		     : -EBADMSG;
	object_clear(&object);
	return rc;
}

static int list_end(struct restore *restore, struct journal_collection *collection,
		    struct bytes *payload)
{
	char version[RESOURCE_VERSION_SIZE];

	read_version(payload, version);
	if (!bytes_done(payload))
		return -EBADMSG;
	restore->listing = 0;
	if (!collection)
		return 0;
	collection->store_sink.replace_commit(collection->store_sink.ctx);
	collection->listed = true;
	collection->denied = false;
	return advance(collection, version);
}

static int take_put(struct journal_collection *collection, struct bytes *payload)
{
	char version[RESOURCE_VERSION_SIZE];
	struct object object;
	int rc = object_decode(collection->kind, payload, &object);

	if (rc < 0)
		return rc;
	memcpy(version, object.resource_version, sizeof(version));
	rc = bytes_done(payload) && version[0]
		     ? collection->store_sink.upsert(collection->store_sink.ctx, &object)
		     : -EBADMSG;
	object_clear(&object);
	return rc < 0 ? rc : advance(collection, version);
}

static int take_delete(struct journal_collection *collection, struct bytes *payload)
{
	char version[RESOURCE_VERSION_SIZE];
	char namespace[DNS_LABEL_SIZE];
	char name[OBJECT_NAME_SIZE];

	read_version(payload, version);
	bytes_copy_text(payload, namespace, sizeof(namespace));
	bytes_copy_text(payload, name, sizeof(name));
	if (!bytes_done(payload) || !version[0])
		return -EBADMSG;
	collection->store_sink.remove(collection->store_sink.ctx, namespace, name);
	return advance(collection, version);
}

static int take_version(struct journal_collection *collection, struct bytes *payload)
{
	char version[RESOURCE_VERSION_SIZE];

	read_version(payload, version);
	if (!bytes_done(payload) || !version[0])
		return -EBADMSG;
	return advance(collection, version);
}

static int take_denied(struct restore *restore, struct journal_collection *collection,
		       struct bytes *payload)
{
	if (!bytes_done(payload))
		return -EBADMSG;
	if (!collection)
		return 0;
	if (collection->listed)
		return -EBADMSG;
	collection->denied = true;
	restore->on_denied(collection->owner);
	return 0;
}

static int take_event(struct journal_collection *collection, uint32_t type, struct bytes *payload)
{
	if (!collection)
		return 0;
	if (!collection->listed)
		return -EBADMSG;
	if (type == JOURNAL_PUT)
		return take_put(collection, payload);
	if (type == JOURNAL_DELETE)
		return take_delete(collection, payload);
	return take_version(collection, payload);
}

static int take_record_of(struct restore *restore, uint32_t type, struct bytes *payload)
{
	struct journal_collection *collection;
	bool in_list = type == JOURNAL_LIST_ITEM || type == JOURNAL_LIST_END;
	uint32_t number;

	if (!take_number(restore, payload, &number, &collection) ||
	    restore->listing != (in_list ? number : 0))
		return -EBADMSG;
	switch (type) {
	case JOURNAL_LIST_BEGIN:
		return list_begin(restore, number, collection, payload);
	case JOURNAL_LIST_ITEM:
		return list_item(restore, collection, payload);
	case JOURNAL_LIST_END:
		return list_end(restore, collection, payload);
	case JOURNAL_PUT:
	case JOURNAL_DELETE:
	case JOURNAL_VERSION:
		return take_event(collection, type, payload);
	case JOURNAL_DENIED:
		return take_denied(restore, collection, payload);
	}
	return -EBADMSG;
}

static int take_record(struct restore *restore, uint32_t type, struct bytes *payload)
{
	uint64_t heard_s;

	if (type == JOURNAL_COLLECTION && !restore->listing)
		return take_collection(restore, payload);
	if (type != JOURNAL_HEARD)
		return take_record_of(restore, type, payload);
	heard_s = bytes_read_number(payload, UINT64_MAX);
	if (!bytes_done(payload) || restore->listing)
		return -EBADMSG;
	restore->heard_s = heard_s;
	return 0;
}

/* Returns 0 or -ENOMEM. */
static int read_records(struct restore *restore)
{
	struct bytes payload;
	uint32_t type;
	int rc = next_record(restore, true, &type, &payload);

	if (rc > 0 && check_header(restore, &payload) < 0)
		return 0;
	while (rc > 0) {
		rc = next_record(restore, false, &type, &payload);
		if (rc <= 0)
			break;
		rc = take_record(restore, type, &payload);
		if (rc < 0)
			break;
		rc = 1;
	}
	return rc == -ENOMEM ? rc : 0;
}

int journal_restore(struct journal *journal, void (*on_denied)(void *owner), uint64_t *ret_heard_s)
{
	struct restore restore = {.journal = journal, .on_denied = on_denied};
	int count = 0;
	int rc = read_records(&restore);

	if (restore.listing && restore.collections[restore.listing - 1]) {
		const struct reflector_sink *sink =
			&restore.collections[restore.listing - 1]->store_sink;

		sink->replace_abort(sink->ctx);
	}
	free(restore.collections);
	free(restore.data);
	if (rc < 0)
		return rc;
	for (struct journal_collection *c = journal->collections; c; c = c->next)
		count += c->listed || c->denied;
	journal->heard_s = count ? restore.heard_s : 0;
	*ret_heard_s = journal->heard_s;
	return count;
}
