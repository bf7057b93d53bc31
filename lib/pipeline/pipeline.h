/* All stages in one thread: what the API server says becomes the next snapshot of a table. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PIPELINE_PIPELINE_H
#define K8SLB_PIPELINE_PIPELINE_H

#include <stdbool.h>

#include "base/log.h"
#include "kube/credentials.h"
#include "select/select.h"
#include "sync/syncer.h"
#include "table/reader.h"

/*
 *   kube/http -> sync/syncer -> select -> table/writer
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
	struct syncer_options sync; /* its refs are borrowed */
	struct select_place place;  /* "" where not known: place.h then infers; copied */
};

/*
 * Makes no request yet. @logger is copied. Returns 0 or -errno with the reason in @error.
 */
int pipeline_new(const struct pipeline_options *options, const struct logger *logger,
		 struct pipeline **ret_pipeline, char *error, size_t error_size);

/*
 * One round: does what is due, waits at most @max_wait_ms for the network or the next deadline,
 * takes in what came and publishes when something changed. The first publish waits until every
 * collection was tried, so that no Service is missing by chance of order.
 */
void pipeline_run(struct pipeline *pipeline, int max_wait_ms);

/* The newest table, or NULL. It stays mapped until pipeline_free(). */
const struct table_view *pipeline_view(const struct pipeline *pipeline);

/* Every collection was tried at least once: without a table by now, there is none to wait for. */
bool pipeline_attempted(const struct pipeline *pipeline);

/* What keeps it from being in sync; "" when nothing does. Valid until the next pipeline_run(). */
const char *pipeline_problem(const struct pipeline *pipeline);

/* Ends the wait of pipeline_run(). Any thread. */
void pipeline_wakeup(struct pipeline *pipeline);

/* Unmaps the tables too: no reader may be left. Takes NULL. */
void pipeline_free(struct pipeline *pipeline);

#endif
