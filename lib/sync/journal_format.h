/* The bytes of a journal: records, each with its checksum. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_JOURNAL_FORMAT_H
#define K8SLB_SYNC_JOURNAL_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "kube/json_stream.h"

/*
 * A journal is read by the machine that wrote it: numbers of fixed size are in its own byte order,
 * which the magic number gives away. Numbers in payloads are of variable length (7 bits a byte,
 * lowest first, the high bit says that more follow), a text is its length and its bytes.
 *
 *   HEADER                           once, first
 *   COLLECTION number kind key       names a collection; numbers are 1, 2, 3, ..
 *   LIST_BEGIN number                its objects are now exactly the items up to LIST_END;
 *   LIST_ITEM number object          no other record stands between
 *   LIST_END number version          version "": the list gave none
 *   PUT number object                one event; the object's version is the collection's
 *   DELETE number version namespace name
 *   VERSION number version           nothing but a later version
 *   DENIED number                    may not be read
 *   HEARD seconds                    contact with the server, since the epoch
 */
enum journal_record_type {
	JOURNAL_HEADER = 1,
	JOURNAL_COLLECTION,
	JOURNAL_LIST_BEGIN,
	JOURNAL_LIST_ITEM,
	JOURNAL_LIST_END,
	JOURNAL_PUT,
	JOURNAL_DELETE,
	JOURNAL_VERSION,
	JOURNAL_DENIED,
	JOURNAL_HEARD,
};

struct journal_record {
	uint32_t length; /* of the payload that follows */
	uint32_t type;
	uint64_t checksum; /* of length, type and payload, seeded with the header's salt */
};

/* The payload of HEADER. */
struct journal_header {
	uint64_t magic;
	uint64_t layout; /* JOURNAL_LAYOUT; changes with anything in this file or object_codec.h */
	uint64_t config_hash;
	uint64_t salt; /* another one for each file: bytes of an old one do not pass for records */
};

#define JOURNAL_MAGIC  0x6c6e726a626c3873ULL /* "s8lbjrnl" in the byte order of x86 */
#define JOURNAL_LAYOUT 1

/* Largest payload: of what the decoder of JSON accepts, only what is far from any real object. */
#define JOURNAL_PAYLOAD_LIMIT JSON_OBJECT_LIMIT
/* Longest name of a collection: a selector names at most 50 Services. */
#define JOURNAL_KEY_LIMIT (16u * 1024)
/* Most collections: one for each entry of the configuration, and some. */
#define JOURNAL_COLLECTION_LIMIT 65536u

uint64_t journal_checksum(uint64_t salt, uint32_t type, const void *payload, size_t size);

/* Appends a whole record. Returns 0, -E2BIG or -ENOMEM. */
int journal_frame(struct buffer *buffer, uint64_t salt, uint32_t type, const void *payload,
		  size_t size);

#endif
