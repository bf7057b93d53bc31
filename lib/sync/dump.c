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
	/* That of the list at hand, whose items name none: of a ServiceList, as the API server
	 * gives it. */
	bool has_kind;
	enum object_kind kind;
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

	kind = reading->kind;
	rc = reading->has_kind ? json_decode_object(kind, text, size, &object, &gaps, problem,
						    sizeof(problem))
			       : json_decode_item(text, size, &kind, &object, &gaps, problem,
						  sizeof(problem));
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

/* ---- Documents: one after the other, as of two runs of kubectl ---- */

struct document {
	const char *text;
	size_t size;
	bool is_list;  /* it has "items" */
	char kind[64]; /* cut */
};

/* From a quote on: what is behind the string, or @end. */
static const char *after_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		at += *at == '\\';
	return at < end ? at + 1 : end;
}

static const char *after_blanks(const char *at, const char *end)
{
	while (at < end && strchr(" \t\r\n", *at))
		at++;
	return at;
}

/* @name is a member of the document itself; its value begins at @value. */
static void take_member(struct document *document, const char *name, size_t length,
			const char *value, const char *end)
{
	if (length == strlen("items") && strncmp(name, "items", length) == 0)
		document->is_list = true;
	if (length == strlen("kind") && strncmp(name, "kind", length) == 0 && value < end &&
	    *value == '"') {
		size_t quoted = (size_t)(after_string(value, end) - value);

		/* The document may end with the opening quote. */
		json_printable(document->kind, sizeof(document->kind), value + 1,
			       quoted < 2 ? 0 : quoted - 2);
	}
}

/* Finds where the document that begins at @at ends, by its braces alone: what is wrong within, the
 * parsers say. An unbalanced one goes to the end. */
static struct document document_at(const char *at, const char *end)
{
	struct document document = {.text = at};
	long depth = 0;

	while (at < end) {
		const char *start = at;

		if (*at != '"') {
			depth += *at == '{' || *at == '[';
			depth -= *at == '}' || *at == ']';
			at++;
			if (depth <= 0)
				break;
			continue;
		}
		at = after_string(at, end);
		if (depth == 1) {
			const char *colon = after_blanks(at, end);

			if (colon < end && *colon == ':')
				take_member(&document, start + 1, (size_t)(at - start) - 2,
					    after_blanks(colon + 1, end), end);
		}
	}
	document.size = (size_t)(at - document.text);
	return document;
}

static bool list_kind(const struct document *document, enum object_kind *ret_kind)
{
	static const enum object_kind kinds[] = {OBJECT_SERVICE, OBJECT_ENDPOINT_SLICE,
						 OBJECT_ENDPOINTS};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *name = object_kind_name(kinds[i]);
		size_t length = strlen(name);

		if (strncmp(document->kind, name, length) == 0 &&
		    strcmp(document->kind + length, document->is_list ? "List" : "") == 0) {
			*ret_kind = kinds[i];
			return true;
		}
	}
	return false;
}

static int read_list(struct dump *dump, const struct document *document, struct reading *reading,
		     char *error, size_t error_size)
{
	struct json_stream stream;
	const char *envelope; /* a dump has neither version nor pages: nothing to read */
	size_t envelope_size;
	int rc;

	json_stream_init(&stream, JSON_STREAM_LIST, take_item, reading);
	rc = json_stream_feed(&stream, document->text, document->size, error, error_size);
	if (rc == 0)
		rc = json_stream_finish(&stream, &envelope, &envelope_size, error, error_size);
	gaps_log_large(&dump->told, &dump->logger, "the dump", stream.left_out);
	json_stream_free(&stream);
	return rc;
}

static int read_documents(struct dump *dump, const char *text, size_t size, struct reading *reading,
			  char *error, size_t error_size)
{
	const char *end = text + size;
	int rc;

	do {
		struct document document;

		text = after_blanks(text, end);
		document = document_at(text, end);
		reading->has_kind = list_kind(&document, &reading->kind);
		if (document.is_list || !document.kind[0] || strcmp(document.kind, "List") == 0) {
			rc = read_list(dump, &document, reading, error, error_size);
		} else if (reading->has_kind) {
			rc = take_item(reading, document.text, document.size);
		} else {
			snprintf(error, error_size,
				 "kind is \"%s\": no list, and neither Service nor EndpointSlice",
				 document.kind);
			rc = -EBADMSG;
		}
		text = after_blanks(document.text + document.size, end);
	} while (rc == 0 && text < end);
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
	rc = read_documents(dump, text, size, &reading, error, error_size);
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
