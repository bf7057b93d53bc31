/* All stages in one thread: what the API server says becomes the next snapshot of a table. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PIPELINE_PIPELINE_H
#define K8SLB_PIPELINE_PIPELINE_H

#include <stdbool.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "kube/credentials.h"
#include "publish/region.h"
#include "select/select.h"
#include "sync/syncer.h"
#include "table/reader.h"

/*
 *   kube/http -> sync/syncer -> select -> publish/writer
 *   kube/file -> sync/dump   ->
 *
 * All calls by one thread, but for pipeline_wakeup().
 */
struct pipeline;

struct pipeline_options {
	const char *api_url; /* "https://..." or "http://...", copied */
	const char
		*api_file; /* in its place, when not "": a `kubectl get -o json` document, copied */
	struct credentials_options credentials;
	struct syncer_options sync;	 /* its refs are borrowed */
	struct select_location location; /* "" where not known: location.h then infers; copied */
	uint64_t table_identity;	 /* table_writer_new() */
	/* table_writer_set_memory(); NULL: region_new(). Not with an identity. */
	int (*new_region)(void *ctx, size_t arena_size, struct region *ret_region);
	void *new_region_ctx;
	/* Asked before each beat and publish: -ESTALE means that another writer may have taken the
	 * table; any other -errno that it cannot be told: then nothing is published. NULL: 0. */
	int (*may_write)(void *ctx);
	void *may_write_ctx;
	const struct interrupt
		*interrupt; /* ends the waits of pipeline_run(); NULL: nothing does */
	bool ages; /* the table does, for its readers in this process: table_writer_set_ages() */
	uint32_t max_age_s; /* 0: never by what is not heard */
};

/*
 * Makes no request yet. @logger is copied. Returns 0 or -errno with the reason in @error.
 */
int pipeline_new(const struct pipeline_options *options, const struct logger *logger,
		 struct pipeline **ret_pipeline, char *error, size_t error_size);

/*
 * One round: does what is due, waits at most @max_wait_ms, and never more than about a second, for
 * the network or the next deadline, says in the table that the writer lives,
 * takes in what came and publishes when something changed. The first publish waits until every
 * collection was listed, so that no Service is missing by chance of order; one that fails, or takes
 * more than 10 s, is left out of it until it is in. Up to then a shared table says what the last
 * writer published, and when that heard the API server.
 */
void pipeline_run(struct pipeline *pipeline, int max_wait_ms);

/* The newest table, or NULL. It stays mapped until pipeline_free(). */
const struct table_view *pipeline_view(const struct pipeline *pipeline);

/* The table was to be shared and cannot be: it is this process's own, for good. */
bool pipeline_is_private(const struct pipeline *pipeline);

/* Every collection was tried at least once: without a table by now, there is none to wait for. */
bool pipeline_attempted(const struct pipeline *pipeline);

/* For people to read. */
struct pipeline_state {
	uint64_t generation; /* of the table; 0: none yet */
	unsigned services;
	unsigned ports;
	unsigned endpoints;
	uint64_t bytes;	     /* of the last snapshot */
	uint64_t publishes;  /* by this pipeline */
	uint64_t unheard_ms; /* since the last word of the API server about the oldest part of what
				is published; UINT64_MAX: none yet */
	unsigned left_out;   /* Services for which the table has no room */
	int publish_failure; /* -errno of the last publish: what was put is not in the table; 0 */
	uint64_t publish_failures;
	bool live;	   /* what is published is the truth now */
	uint64_t requests; /* to the API server; a file counts none */
	uint64_t errors;   /* of these: without answer, or with a status of 400 and more */
};
struct pipeline_state pipeline_state(const struct pipeline *pipeline);

/* A part of it is in sync, at least: other namespaces may be forbidden. */
bool pipeline_hears(const struct pipeline *pipeline);

/* What keeps it from being in sync; "" when nothing does. Valid until the next pipeline_run(). */
const char *pipeline_problem(const struct pipeline *pipeline);

/* may_write() said -ESTALE: nothing is written any more, and the pipeline is of no use. */
bool pipeline_was_refused(const struct pipeline *pipeline);

/* In place of pipeline_free() where hooks may be reading the table: closes all connections, and
 * leaves the table mapped for ever. */
void pipeline_abandon(struct pipeline *pipeline);

/* Ends the wait of pipeline_run(). Any thread. */
void pipeline_wakeup(struct pipeline *pipeline);

/* Unmaps the tables too: no reader may be left. Takes NULL. */
void pipeline_free(struct pipeline *pipeline);

#endif
