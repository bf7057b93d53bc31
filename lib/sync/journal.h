/* What the store holds, on a file: so that the next writer of a table goes on with a watch. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_JOURNAL_H
#define K8SLB_SYNC_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/object.h"
#include "sync/reflector.h"
#include "sync/store.h"

/*
 * The writer of a shared table may be killed at any instant. Who takes over needs the objects one
 * by one and the version that each collection has come to: else it would have to list anew.
 *
 * A journal is a snapshot of all collections, then one record for each event (journal_format.h).
 * Whatever is cut off its end, the rest is a state that the store once had. It must be flushed
 * before a table is published: it is then never older than the table.
 */
struct journal;

/* Largest journal, bytes. 100 000 endpoints are about 15 MiB, and twice that before a rewrite. */
#define JOURNAL_SIZE_LIMIT (256u * 1024 * 1024)
/* It is rewritten when it is larger than twice its last snapshot and this. */
#define JOURNAL_SLACK (1024u * 1024)
/* What is buffered before it is appended, also in the midst of a round. */
#define JOURNAL_CHUNK (256u * 1024)

/*
 * Where the bytes are. begin() starts an empty journal beside the one in place, append() adds to
 * it, commit() puts it in the place of the old one; append() then goes on with it. Nothing may
 * wait for a disk. All but the last return 0 or -errno.
 */
struct journal_io {
	int (*begin)(void *ctx);
	int (*append)(void *ctx, const void *data, size_t size);
	int (*commit)(void *ctx);
	/* Removes both: one that is no longer written must not be restored from. */
	void (*discard)(void *ctx);
	/* Reads on in the one in place, from its start. Returns the bytes read, at most @size; 0:
	 * its end; or -errno. */
	ptrdiff_t (*read)(void *ctx, void *data, size_t size);
	uint64_t (*realtime_s)(void *ctx); /* seconds since the epoch */
	void *ctx;
};

struct journal_options {
	struct journal_io io; /* its ctx outlives the journal */
	/* Of the configuration: a journal with another one is not restored from. */
	uint64_t config_hash;
	/* Before the first request of a collection that was restored, so that of a chain of
	 * short-lived processes not each makes one. */
	uint32_t start_delay_ms;
};

/* One collection as the journal knows it; part of its owner's struct, where it must not move. */
struct journal_collection {
	/* For the owner to read after journal_restore(). */
	bool listed; /* the store has what a list and all events up to @version said */
	bool denied; /* may not be read, and was never listed */
	char version[RESOURCE_VERSION_SIZE]; /* "": there is none to watch from */

	/* The rest is its own. */
	struct journal *journal; /* NULL: it has not joined */
	struct journal_collection *next;
	enum object_kind kind;
	char *key;
	struct store_scope *scope;
	struct reflector_sink store_sink;
	void *owner;
	uint32_t number; /* in the file; 0: it was not named there yet */
	size_t snapshot_bytes;
	unsigned change; /* that the next version is for */
	char namespace[DNS_LABEL_SIZE];
	char name[OBJECT_NAME_SIZE];
};

/* Returns 0 or -ENOMEM. @random: 64 random bits, for this process's journals. */
int journal_new(const struct journal_options *options, uint64_t random, const struct logger *logger,
		struct journal **ret_journal);

/* Leaves the journal in place for the next writer. No collection may be left. Takes NULL. */
void journal_free(struct journal *journal);

/*
 * Lets the journal follow @scope, from its reflector's next list on. @key names what is asked for:
 * path and selector. @owner is for journal_restore(). Returns 0 or -ENOMEM.
 */
int journal_join(struct journal *journal, struct journal_collection *collection,
		 enum object_kind kind, const char *key, struct store_scope *scope, void *owner);

/* To be called before the scope is closed. Takes one that has not joined. */
void journal_leave(struct journal_collection *collection);

/* In place of the scope's own sink: passes all on to it and notes it. */
struct reflector_sink journal_sink(struct journal_collection *collection);

/* Notes that the collection may not be read, so that the next writer begins with its stand-in. */
void journal_note_denied(struct journal_collection *collection);

/* Notes when the server was heard last, seconds since the epoch. */
void journal_note_heard(struct journal *journal, uint64_t heard_s);

/*
 * Appends what was noted since the last flush, by one write unless it is much. When that fails, the
 * journal is removed and given up, once and for all, with a line in the log.
 */
void journal_flush(struct journal *journal);

/*
 * Reads what the last writer left into the scopes of the collections that have joined, before any
 * of them was used. @on_denied is called for each collection that may not be read, with its owner:
 * stand-ins that join then are restored too. Ends at the first record that is cut or wrong; what
 * stands before it counts. @ret_heard_s is 0 when there was nothing.
 * Returns the number of collections that have a state, or -ENOMEM.
 */
int journal_restore(struct journal *journal, void (*on_denied)(void *owner), uint64_t *ret_heard_s);

#endif
