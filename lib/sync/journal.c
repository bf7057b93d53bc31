// SPDX-License-Identifier: Apache-2.0
#include "sync/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sync/bytes.h"
#include "sync/journal_format.h"
#include "sync/journal_state.h"
#include "sync/object_codec.h"

enum change {
	CHANGE_NONE,
	CHANGE_LIST,
	CHANGE_OBJECT, /* that of @namespace and @name is another one, or gone */
};

/* ---- records ---- */

static void fail_on(struct journal *journal, int rc)
{
	if (rc < 0 && journal->error == 0)
		journal->error = rc;
}

static void drain(struct journal *journal)
{
	const struct journal_io *io = &journal->options.io;

	if (journal->error || journal->pending.length == 0)
		return;
	journal->file_bytes += journal->pending.length;
	if (journal->file_bytes > JOURNAL_SIZE_LIMIT)
		fail_on(journal, -EFBIG);
	else
		fail_on(journal,
			io->append(io->ctx, journal->pending.data, journal->pending.length));
	buffer_clear(&journal->pending);
}

/* The payload of a record is put together from begin_record() to end_record(). */
static void begin_record(struct journal *journal)
{
	buffer_clear(&journal->payload);
}

static void put_number(struct journal *journal, uint64_t number)
{
	fail_on(journal, bytes_append_number(&journal->payload, number));
}

static void put_text(struct journal *journal, const char *text)
{
	fail_on(journal, bytes_append_text(&journal->payload, text));
}

static void end_record(struct journal *journal, enum journal_record_type type)
{
	if (journal->error)
		return;
	fail_on(journal, journal_frame(&journal->pending, journal->salt, type,
				       journal->payload.data, journal->payload.length));
	if (journal->pending.length >= JOURNAL_CHUNK)
		drain(journal);
}

static void begin_record_of(struct journal_collection *collection)
{
	struct journal *journal = collection->journal;

	if (collection->number == 0) {
		collection->number = ++journal->numbers;
		begin_record(journal);
		put_number(journal, collection->number);
		put_number(journal, collection->kind);
		put_text(journal, collection->key);
		end_record(journal, JOURNAL_COLLECTION);
	}
	begin_record(journal);
	put_number(journal, collection->number);
}

/* ---- collections ---- */

static int write_item(void *ctx, const struct object *object)
{
	struct journal_collection *collection = ctx;
	struct journal *journal = collection->journal;

	begin_record_of(collection);
	fail_on(journal, object_encode(object, &journal->payload));
	end_record(journal, JOURNAL_LIST_ITEM);
	return journal->error;
}

static void write_list(struct journal_collection *collection)
{
	struct journal *journal = collection->journal;
	size_t start = journal->file_bytes + journal->pending.length;

	begin_record_of(collection);
	end_record(journal, JOURNAL_LIST_BEGIN);
	store_scope_each(collection->scope, write_item, collection);
	begin_record_of(collection);
	put_text(journal, collection->version);
	end_record(journal, JOURNAL_LIST_END);

	journal->snapshot_bytes -= collection->snapshot_bytes;
	collection->snapshot_bytes = journal->file_bytes + journal->pending.length - start;
	journal->snapshot_bytes += collection->snapshot_bytes;
}

/* What the store says of it now, whatever the server has said: it may be of no interest to us. */
static void write_object(struct journal_collection *collection)
{
	struct journal *journal = collection->journal;
	const struct object *object =
		store_scope_find(collection->scope, collection->namespace, collection->name);

	begin_record_of(collection);
	if (object) {
		fail_on(journal, object_encode(object, &journal->payload));
		end_record(journal, JOURNAL_PUT);
		return;
	}
	put_text(journal, collection->version);
	put_text(journal, collection->namespace);
	put_text(journal, collection->name);
	end_record(journal, JOURNAL_DELETE);
}

static void write_version(struct journal_collection *collection)
{
	begin_record_of(collection);
	put_text(collection->journal, collection->version);
	end_record(collection->journal, JOURNAL_VERSION);
}

static void write_denied(struct journal_collection *collection)
{
	begin_record_of(collection);
	end_record(collection->journal, JOURNAL_DENIED);
}

static void write_heard(struct journal *journal)
{
	begin_record(journal);
	put_number(journal, journal->heard_s);
	end_record(journal, JOURNAL_HEARD);
}

static void write_header(struct journal *journal)
{
	struct journal_header header = {
		.magic = JOURNAL_MAGIC,
		.layout = JOURNAL_LAYOUT,
		.config_hash = journal->options.config_hash,
		.salt = journal->salt,
	};

	begin_record(journal);
	fail_on(journal, buffer_append(&journal->payload, &header, sizeof(header)));
	end_record(journal, JOURNAL_HEADER);
}

/* The journal of the last writer is left behind so too, at the first change: what it ends in is
 * never appended to. */
static void rewrite(struct journal *journal)
{
	const struct journal_io *io = &journal->options.io;

	buffer_clear(&journal->pending);
	fail_on(journal, io->begin(io->ctx));
	if (journal->error)
		return;
	journal->file_bytes = 0;
	journal->numbers = 0;
	journal->salt = hash_mix(++journal->random);
	for (struct journal_collection *c = journal->collections; c; c = c->next)
		c->number = 0;
	write_header(journal);
	for (struct journal_collection *c = journal->collections; c; c = c->next) {
		if (c->listed)
			write_list(c);
		else if (c->denied)
			write_denied(c);
	}
	write_heard(journal);
	drain(journal);
	if (journal->error == 0)
		fail_on(journal, io->commit(io->ctx));
	journal->begun = true;
	journal->changed = false;
}

static bool is_too_large(const struct journal *journal)
{
	return journal->file_bytes + journal->pending.length >
	       2 * journal->snapshot_bytes + JOURNAL_SLACK;
}

static void give_up(struct journal *journal)
{
	const struct journal_io *io = &journal->options.io;

	log_error(&journal->logger,
		  "the journal for the next writer is given up, that one has to list anew: %s",
		  strerror(-journal->error));
	io->discard(io->ctx);
	journal->given_up = true;
	buffer_free(&journal->payload);
	buffer_free(&journal->pending);
}

void journal_flush(struct journal *journal)
{
	if (journal->given_up)
		return;
	if (journal->begun ? is_too_large(journal) : journal->changed)
		rewrite(journal);
	else
		drain(journal);
	if (journal->error)
		give_up(journal);
}

/* Something is to be written by the caller; else a later snapshot will have it. */
static bool appends(struct journal *journal)
{
	journal->changed |= !journal->begun;
	return journal->begun && !journal->given_up && !journal->error;
}

void journal_note_denied(struct journal_collection *collection)
{
	if (!collection->journal || collection->denied || collection->listed)
		return;
	collection->denied = true;
	if (appends(collection->journal))
		write_denied(collection);
}

void journal_note_heard(struct journal *journal, uint64_t heard_s)
{
	if (heard_s == journal->heard_s)
		return;
	journal->heard_s = heard_s;
	if (appends(journal))
		write_heard(journal);
}

/* ---- sink ---- */

static int sink_replace_begin(void *ctx)
{
	struct journal_collection *collection = ctx;

	return collection->store_sink.replace_begin(collection->store_sink.ctx);
}

static int sink_replace_item(void *ctx, struct object *object)
{
	struct journal_collection *collection = ctx;

	return collection->store_sink.replace_item(collection->store_sink.ctx, object);
}

static int sink_replace_keep(void *ctx, const char *namespace, const char *name)
{
	struct journal_collection *collection = ctx;

	return collection->store_sink.replace_keep(collection->store_sink.ctx, namespace, name);
}

static void sink_replace_commit(void *ctx)
{
	struct journal_collection *collection = ctx;

	collection->store_sink.replace_commit(collection->store_sink.ctx);
	collection->change = CHANGE_LIST;
}

static void sink_replace_abort(void *ctx)
{
	struct journal_collection *collection = ctx;

	collection->store_sink.replace_abort(collection->store_sink.ctx);
}

static void note_object(struct journal_collection *collection, const char *namespace,
			const char *name)
{
	memcpy(collection->namespace, namespace, strlen(namespace) + 1);
	memcpy(collection->name, name, strlen(name) + 1);
	collection->change = CHANGE_OBJECT;
}

static int sink_upsert(void *ctx, struct object *object)
{
	struct journal_collection *collection = ctx;
	int rc;

	note_object(collection, object->namespace, object->name);
	rc = collection->store_sink.upsert(collection->store_sink.ctx, object);
	/* Short of memory the store may have lost the old one: not a state of any version. The
	 * list that now follows mends it. */
	if (rc < 0)
		collection->listed = false;
	return rc;
}

static void sink_remove(void *ctx, const char *namespace, const char *name)
{
	struct journal_collection *collection = ctx;

	note_object(collection, namespace, name);
	collection->store_sink.remove(collection->store_sink.ctx, namespace, name);
}

static void sink_advance(void *ctx, const char *version)
{
	struct journal_collection *collection = ctx;
	enum change change = collection->change;

	collection->change = CHANGE_NONE;
	memcpy(collection->version, version, strlen(version) + 1);
	if (change == CHANGE_LIST) {
		collection->listed = true;
		collection->denied = false;
	}
	if (!appends(collection->journal))
		return;
	if (change == CHANGE_LIST)
		write_list(collection);
	else if (change == CHANGE_OBJECT)
		write_object(collection);
	else
		write_version(collection);
}

struct reflector_sink journal_sink(struct journal_collection *collection)
{
	return (struct reflector_sink){
		.replace_begin = sink_replace_begin,
		.replace_item = sink_replace_item,
		.replace_keep = sink_replace_keep,
		.replace_commit = sink_replace_commit,
		.replace_abort = sink_replace_abort,
		.upsert = sink_upsert,
		.remove = sink_remove,
		.advance = sink_advance,
		.ctx = collection,
	};
}

/* ---- interface ---- */

int journal_new(const struct journal_options *options, uint64_t random, const struct logger *logger,
		struct journal **ret_journal)
{
	struct journal *journal = calloc(1, sizeof(*journal));

	if (!journal)
		return -ENOMEM;
	journal->options = *options;
	journal->random = random;
	journal->logger = *logger;
	journal->payload.limit = JOURNAL_PAYLOAD_LIMIT;
	*ret_journal = journal;
	return 0;
}

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	buffer_free(&journal->payload);
	buffer_free(&journal->pending);
	free(journal);
}

int journal_join(struct journal *journal, struct journal_collection *collection,
		 enum object_kind kind, const char *key, struct store_scope *scope, void *owner)
{
	struct journal_collection **link = &journal->collections;

	memset(collection, 0, sizeof(*collection));
	collection->key = strdup(key);
	if (!collection->key)
		return -ENOMEM;
	collection->journal = journal;
	collection->kind = kind;
	collection->scope = scope;
	collection->store_sink = store_scope_sink(scope);
	collection->owner = owner;
	while (*link)
		link = &(*link)->next;
	*link = collection;
	return 0;
}

void journal_leave(struct journal_collection *collection)
{
	struct journal *journal = collection->journal;
	struct journal_collection **link;

	if (!journal)
		return;
	for (link = &journal->collections; *link != collection; link = &(*link)->next)
		;
	*link = collection->next;
	journal->snapshot_bytes -= collection->snapshot_bytes;
	free(collection->key);
	memset(collection, 0, sizeof(*collection));
}
