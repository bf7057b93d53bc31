/* Tables whose content tells their generation, and readers who check each pick against it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_GENERATIONS_H
#define K8SLB_TESTS_GENERATIONS_H

#include <stdint.h>

#include "pick/memory.h"
#include "publish/writer.h"

#define GENERATION_SERVICES 3u

/* Puts what a table of @generation says: how many endpoints each Service has, and a checksum in
 * each of them. */
void generation_put(struct table_writer *writer, uint64_t generation);

/* The same, published; checks that it got this number. */
void generation_publish(struct table_writer *writer, uint64_t generation);

/* Another Service of so many endpoints, for a table to outgrow its place. */
void generation_put_bulk(struct table_writer *writer, unsigned endpoints);

/* What a reader saw. */
struct generation_reader {
	unsigned number;
	struct pick_memory *memory; /* of all readers */
	uint64_t picks;
	uint64_t torn;
	uint64_t went_back;
	uint64_t misses;
	uint64_t last_generation;
};

/* One pick, and a look at the counts of all Services: they must be of one generation. */
void generation_read(struct generation_reader *reader, const struct table_view *view);

/* What @generation says of the first Service. */
unsigned generation_count(uint64_t generation);
struct ip_address generation_vip(void);

#endif
