/* Where the records of each Service lie in a snapshot, and writing them there. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PUBLISH_ARENA_H
#define K8SLB_PUBLISH_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "publish/staged.h"

/*
 * A plan is good for many snapshots: as long as only endpoints come and go, each Service keeps its
 * place (struct staged_place), and an arena that was written by the same plan needs nothing but the
 * Services that changed since. For ports that outgrow their run of endpoints there are spare ones
 * at the end; what they leave behind is a hole until the next plan.
 */
struct arena_plan {
	struct table_snapshot snapshot; /* offsets and counts; endpoint_count with the spare ones */
	/* What is given out so far. */
	uint32_t services;
	uint32_t ports;
	uint32_t endpoints;
	uint32_t text_size;
};

/* What there is to place. */
struct arena_needs {
	uint32_t services;
	uint32_t ports;
	uint32_t vips; /* ports with a VIP: entries of the index */
	uint32_t endpoints;
	uint64_t text_size;
};

/* The needs of one Service, to be added or taken off. */
struct arena_needs arena_needs_of(const struct staged_service *service);

void arena_plan_start(struct arena_plan *plan, const struct arena_needs *needs);

/* Gives @service the next place. */
void arena_plan_place(struct arena_plan *plan, struct staged_service *service);

/*
 * Gives @service the place of @old, which says the same but for the endpoints
 * (staged_service_same_ports()). Returns false when the plan has not enough endpoints left; its
 * places are of no use then.
 */
bool arena_plan_keep_place(struct arena_plan *plan, struct staged_service *service,
			   const struct staged_service *old);

/* An arena that no reader may use at the moment. */
struct arena {
	unsigned char *at;
	const struct arena_plan *plan;
	char *text; /* private, of the plan's size, all zero; NULL: the arena's own is right */
};

/* Makes both indexes empty. */
void arena_clear_indexes(const struct arena *arena);

/* Writes the records of a placed Service; its strings go to the private text. */
void arena_write_service(const struct arena *arena, const struct staged_service *service);

/* Enters a placed Service into the indexes. An address that is there already stays with the
 * Service that came first: the API server gives it to one only. */
void arena_index_service(const struct arena *arena, const struct staged_service *service);

/* Copies the private text into the arena. */
void arena_write_text(const struct arena *arena);

#endif
