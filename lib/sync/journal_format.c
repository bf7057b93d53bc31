// SPDX-License-Identifier: Apache-2.0
#include "sync/journal_format.h"

#include <errno.h>

#include "base/hash.h"

uint64_t journal_checksum(uint64_t salt, uint32_t type, const void *payload, size_t size)
{
	return hash_bytes(hash_mix(salt ^ ((uint64_t)type << 32 | (uint32_t)size)), payload, size);
}

int journal_frame(struct buffer *buffer, uint64_t salt, uint32_t type, const void *payload,
		  size_t size)
{
	struct journal_record record = {.length = (uint32_t)size, .type = type};
	int rc;

	if (size > JOURNAL_PAYLOAD_LIMIT)
		return -E2BIG;
	record.checksum = journal_checksum(salt, type, payload, size);
	rc = buffer_append(buffer, &record, sizeof(record));
	if (rc == 0)
		rc = buffer_append(buffer, payload, size);
	return rc;
}
