// SPDX-License-Identifier: Apache-2.0
#include "sync/dump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kube/json.h"
#include "kube/json_stream.h"
#include "sync/gaps.h"

struct reading {
	struct dump *dump;
	struct dump_counts counts;
};

static struct reflector_sink sink_of(const struct reading *reading, enum object_kind kind)
{
	return store_scope_sink(reading->dump->scopes[kind]);
}

static int keep_bad_item(struct reading *reading, enum object_kind kind, const char *text,
			 size_t size, const char *problem)
{
	struct reflector_sink sink = sink_of(reading, kind);
	char namespace[DNS_LABEL_SIZE];
	char name[OBJECT_NAME_SIZE];
	int rc = json_decode_identity(text, size, namespace, name);

	log_once(&reading->dump->told, &reading->dump->logger, LOG_LEVEL_ERROR,
		 "an item cannot be used: %s", problem);
	return rc < 0 ? rc : sink.replace_keep(sink.ctx, namespace, name);
}

static int take_item(void *ctx, const char *text, size_t size)
{
	struct reading *reading = ctx;
	struct object object = {0};
	struct reflector_sink sink;
	struct json_gaps gaps;
	enum object_kind kind;
	char problem[160];
	int rc;

	rc = json_decode_item(text, size, &kind, &object, &gaps, problem, sizeof(problem));
	if (rc == -ENOTSUP) {
		reading->counts.others++;
		return 0;
	}
	if (rc == -EBADMSG)
		return keep_bad_item(reading, kind, text, size, problem);
	if (rc == -E2BIG) {
		log_once(&reading->dump->told, &reading->dump->logger, LOG_LEVEL_ERROR,
			 "an item cannot be used: %s", problem);
		return 0;
	}
	if (rc < 0)
		return rc;
	gaps_log(&reading->dump->told, &reading->dump->logger, &object, &gaps);
	reading->counts.services += kind == OBJECT_SERVICE;
	reading->counts.slices += kind == OBJECT_ENDPOINT_SLICE;
	reading->counts.endpoints += kind == OBJECT_ENDPOINTS;
	sink = sink_of(reading, kind);
	rc = sink.replace_item(sink.ctx, &object);
	object_clear(&object);
	return rc;
}

static int for_each_item(struct dump *dump, const char *text, size_t size, struct reading *reading,
			 char *error, size_t error_size)
{
	struct json_stream stream;
	const char *envelope; /* kubectl's List has neither version nor pages: nothing to read */
	size_t envelope_size;
	int rc;

	json_stream_init(&stream, JSON_STREAM_LIST, take_item, reading);
	rc = json_stream_feed(&stream, text, size, error, error_size);
	if (rc == 0)
		rc = json_stream_finish(&stream, &envelope, &envelope_size, error, error_size);
	gaps_log_large(&dump->told, &dump->logger, "the dump", stream.left_out);
	json_stream_free(&stream);
	return rc;
}

int dump_init(struct dump *dump, struct store *store,
	      bool (*wanted)(void *ctx, const char *namespace, const char *service), void *ctx,
	      const struct logger *logger)
{
	int rc = 0;

	memset(dump, 0, sizeof(*dump));
	dump->logger = *logger;
	for (unsigned i = 0; rc == 0 && i < 3; i++)
		rc = store_scope_open(store, wanted, ctx, &dump->scopes[i]);
	return rc;
}

int dump_read(struct dump *dump, const char *text, size_t size, struct dump_counts *ret_counts,
	      char *error, size_t error_size)
{
	struct reading reading = {.dump = dump};
	int rc;

	for (unsigned i = 0; i < 3; i++) {
		struct reflector_sink sink = sink_of(&reading, i);

		sink.replace_begin(sink.ctx);
	}
	snprintf(error, error_size, "an item does not even name itself");
	rc = for_each_item(dump, text, size, &reading, error, error_size);
	if (rc == 0 && reading.counts.slices) {
		struct reflector_sink sink = sink_of(&reading, OBJECT_ENDPOINTS);

		/* What was staged is dropped, so the commit finds none. */
		sink.replace_abort(sink.ctx);
		reading.counts.endpoints = 0;
	}
	for (unsigned i = 0; i < 3; i++) {
		struct reflector_sink sink = sink_of(&reading, i);

		if (rc < 0)
			sink.replace_abort(sink.ctx);
		else
			sink.replace_commit(sink.ctx);
	}
	if (rc == 0)
		*ret_counts = reading.counts;
	return rc;
}
