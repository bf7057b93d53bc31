// SPDX-License-Identifier: Apache-2.0
#include "tar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BLOCK 512u

/* IEEE Std 1003.1, pax, "ustar Interchange Format": numbers are octal text. */
struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char user[32];
	char group[32];
	char major[8];
	char minor[8];
	char prefix[155];
	char unused[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "one block");

static void sum(struct header *header)
{
	const unsigned char *bytes = (const unsigned char *)header;
	unsigned total = 0;

	memset(header->checksum, ' ', sizeof(header->checksum));
	for (size_t i = 0; i < sizeof(*header); i++)
		total += bytes[i];
	snprintf(header->checksum, sizeof(header->checksum), "%06o", total);
}

int tar_add(struct buffer *archive, const char *name, const void *data, size_t size)
{
	static const char padding[BLOCK];
	struct header header = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
	int rc;

	snprintf(header.name, sizeof(header.name), "%s", name);
	snprintf(header.mode, sizeof(header.mode), "%07o", 0600);
	snprintf(header.uid, sizeof(header.uid), "%07o", 0);
	snprintf(header.gid, sizeof(header.gid), "%07o", 0);
	snprintf(header.size, sizeof(header.size), "%011lo", (unsigned long)size);
	snprintf(header.mtime, sizeof(header.mtime), "%011lo", (unsigned long)time(NULL));
	sum(&header);
	rc = buffer_append(archive, &header, sizeof(header));
	if (rc == 0)
		rc = buffer_append(archive, data, size);
	if (rc == 0)
		rc = buffer_append(archive, padding, (BLOCK - size % BLOCK) % BLOCK);
	return rc;
}

int tar_finish(struct buffer *archive)
{
	static const char end[2 * BLOCK];

	return buffer_append(archive, end, sizeof(end));
}
