/* Where a pipeline gets Services and slices from: the API server, or a file. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PIPELINE_SOURCE_H
#define K8SLB_PIPELINE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/pipeline.h"

/* One thread uses a source, but for wakeup(). */
struct source {
	const struct source_ops *ops;
	uint64_t requests; /* made so far; of a file none */
	uint64_t errors;   /* of these: without answer, or with a status of 400 and more */
};

struct source_ops {
	/* Does what is due and waits at most @max_wait_ms for news, or until @interrupt is set
	 * (NULL: never). Returns 0, or -errno when it could not wait and came back at once. */
	int (*run)(struct source *source, int max_wait_ms, const struct interrupt *interrupt);
	/* syncer.h: syncer_take_changed(), _touch_all(), _state(), _part(). */
	bool (*take_changed)(struct source *source, struct service_state *ret_state);
	void (*touch_all)(struct source *source);
	struct sync_state (*state)(const struct source *source);
	bool (*part)(const struct source *source, unsigned number, struct sync_part *ret_part);
	/* Ends the wait of run(). Any thread. */
	void (*wakeup)(struct source *source);
	void (*free)(struct source *source);
};

/* options->api_url. Returns 0 or -errno with the reason in @error. */
int api_source_new(const struct pipeline_options *options, const struct logger *logger,
		   struct source **ret_source, char *error, size_t error_size);

/* options->api_file: read whole, and again when it changes; in doubt every sync interval. */
int file_source_new(const struct pipeline_options *options, const struct logger *logger,
		    struct source **ret_source, char *error, size_t error_size);

#endif
