// SPDX-License-Identifier: Apache-2.0
#include "pipeline/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "kube/file.h"
#include "sync/dump.h"
#include "sync/made_up.h"

struct file_source {
	struct source source; /* first: a struct source is cast back */
	struct logger logger;
	const struct service_ref *refs;
	unsigned ref_count;
	uint32_t sync_interval_ms;
	char *path;
	struct file_watch *watch;
	struct store *store;
	struct dump dump;
	struct store_scope *made_up;
	uint64_t read_again_ms;	       /* monotonic: at the latest then, whatever the watch says */
	struct file_identity identity; /* of what was read last */
	bool synced;
	bool attempted;
	bool good; /* the last reading succeeded */
	char problem[256];
};

static struct file_source *of(struct source *source)
{
	return (struct file_source *)source;
}

static bool is_wanted(void *ctx, const char *namespace, const char *service)
{
	const struct file_source *file = ctx;

	return service_refs_cover(file->refs, file->ref_count, namespace, service);
}

static void trouble(struct file_source *file, const char *problem)
{
	file->good = false;
	if (strcmp(problem, file->problem) == 0)
		return;
	snprintf(file->problem, sizeof(file->problem), "%s", problem);
	log_error(&file->logger, "%s: %s%s", file->path, problem,
		  file->synced ? " (the last good state goes on to serve)" : "");
}

/* A document without Services stands for not being allowed to read them. */
static int adjust_made_up(struct file_source *file, const struct dump_counts *counts)
{
	if (counts->services == 0 && !file->made_up)
		return made_up_services(file->refs, file->ref_count, "*", file->store,
					&file->made_up);
	if (counts->services > 0) {
		store_scope_close(file->made_up);
		file->made_up = NULL;
	}
	return 0;
}

static int read_document(struct file_source *file, char *problem, size_t problem_size)
{
	struct buffer content = {.limit = LIMIT_FILE_BYTES};
	struct dump_counts counts;
	int rc = file_read(file->path, &content);

	if (rc < 0)
		snprintf(problem, problem_size, "%s", file_read_problem(rc));
	else
		rc = dump_read(&file->dump, content.data ? content.data : "", content.length,
			       &counts, problem, problem_size);
	buffer_free(&content);
	if (rc < 0)
		return rc;
	log_debug(&file->logger, "%s: %u Services, %u EndpointSlices, %u Endpoints, %u others",
		  file->path, counts.services, counts.slices, counts.endpoints, counts.others);
	return adjust_made_up(file, &counts);
}

static void read_again(struct file_source *file)
{
	char problem[200] = "out of memory";
	int rc;

	/* Before the reading: a change meanwhile is then seen as one. */
	file->identity = file_identify(file->path);
	rc = read_document(file, problem, sizeof(problem));
	file->attempted = true;
	file->read_again_ms = clock_monotonic_ms() + file->sync_interval_ms;
	if (rc < 0) {
		trouble(file, problem);
		return;
	}
	if (file->problem[0])
		log_info(&file->logger, "%s: good again", file->path);
	file->problem[0] = '\0';
	file->good = true;
	file->synced = true;
}

/* What the watch may have missed: a network file system tells no changes made elsewhere. */
static void read_if_other(struct file_source *file)
{
	struct file_identity now = file_identify(file->path);

	if (file->good && memcmp(&now, &file->identity, sizeof(now)) == 0) {
		file->read_again_ms = clock_monotonic_ms() + file->sync_interval_ms;
	} else {
		read_again(file);
	}
}

static int file_run(struct source *source, int max_wait_ms, const struct interrupt *interrupt)
{
	struct file_source *file = of(source);
	uint64_t now_ms = clock_monotonic_ms();
	int changed = 0;

	if (now_ms < file->read_again_ms) {
		uint64_t left_ms = file->read_again_ms - now_ms;

		if (left_ms < (uint64_t)max_wait_ms)
			max_wait_ms = (int)left_ms;
		changed = file_watch_wait(file->watch, max_wait_ms, interrupt);
	}
	if (changed > 0)
		read_again(file);
	else if (clock_monotonic_ms() >= file->read_again_ms)
		read_if_other(file);
	return changed < 0 ? changed : 0;
}

static bool file_take_changed(struct source *source, struct service_state *ret_state)
{
	return of(source)->synced && store_take_changed(of(source)->store, ret_state);
}

static void file_touch_all(struct source *source)
{
	store_touch_all(of(source)->store);
}

/* A file is there or not; it does not age as long as somebody looks. */
static uint64_t heard_ms(const struct file_source *file)
{
	return file->synced ? clock_monotonic_ms() : 0;
}

static struct sync_state file_state(const struct source *source)
{
	const struct file_source *file = (const struct file_source *)source;

	return (struct sync_state){
		.synced = file->synced,
		.attempted = file->attempted,
		.settled = file->attempted,
		.live = file->good,
		.hears = file->good,
		.services_known = !file->made_up,
		.heard_ms = heard_ms(file),
		.due_ms = file->read_again_ms,
		.problem = file->problem,
	};
}

static bool file_part(const struct source *source, unsigned number, struct sync_part *ret_part)
{
	if (number > 0)
		return false;
	*ret_part = (struct sync_part){
		.namespace = "*",
		.heard_ms = heard_ms((const struct file_source *)source),
	};
	return true;
}

static void file_wakeup(struct source *source)
{
	file_watch_wakeup(of(source)->watch);
}

static void file_free(struct source *source)
{
	struct file_source *file = of(source);

	file_watch_free(file->watch);
	store_free(file->store);
	free(file->path);
	free(file);
}

static const struct source_ops file_ops = {
	.run = file_run,
	.take_changed = file_take_changed,
	.touch_all = file_touch_all,
	.state = file_state,
	.part = file_part,
	.wakeup = file_wakeup,
	.free = file_free,
};

int file_source_new(const struct pipeline_options *options, const struct logger *logger,
		    struct source **ret_source, char *error, size_t error_size)
{
	struct file_source *file = calloc(1, sizeof(*file));
	int rc;

	snprintf(error, error_size, "out of memory");
	if (!file)
		return -ENOMEM;
	file->source.ops = &file_ops;
	file->logger = *logger;
	file->refs = options->sync.refs;
	file->ref_count = options->sync.ref_count;
	file->sync_interval_ms = options->sync.sync_interval_ms;
	file->path = strdup(options->api_file);
	rc = file->path ? store_new(&file->store) : -ENOMEM;
	if (rc == 0)
		store_set_logger(file->store, logger);
	if (rc == 0)
		rc = dump_init(&file->dump, file->store, is_wanted, file, logger);
	if (rc == 0) {
		rc = file_watch_new(file->path, &file->watch);
		if (rc < 0)
			snprintf(error, error_size, "%s cannot be watched: %s", file->path,
				 strerror(-rc));
	}
	if (rc < 0) {
		file_free(&file->source);
		return rc;
	}
	*ret_source = &file->source;
	return 0;
}
