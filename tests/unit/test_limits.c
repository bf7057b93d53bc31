/* What exceeds base/limits.h, of one object and of all: left out and named once, the rest goes on.
 */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "kube/json.h"
#include "kube/json_stream.h"
#include "support/objects.h"
#include "sync/dump.h"
#include "sync/store.h"

#define META   "\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\"}"
#define LABELS "{\"kubernetes.io/service-name\":\"web\"}"
#define SLICE                                                                              \
	"{\"addressType\":\"IPv4\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\"," \
	"\"labels\":" LABELS "},"

/* ---- one object ---- */

/* @head, then @count times @part with commas between, then @tail. # in @part is the number. */
static void write_many(struct buffer *text, const char *part, unsigned count, const char *head,
		       const char *tail)
{
	buffer_clear(text);
	assert_int_equal(buffer_append_text(text, head), 0);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(buffer_append_text(text, i ? "," : ""), 0);
		for (const char *c = part; *c; c++)
			assert_int_equal(*c == '#' ? buffer_printf(text, "%u", i + 1)
						   : buffer_append(text, c, 1),
					 0);
	}
	assert_int_equal(buffer_append_text(text, tail), 0);
}

/* Decodes; the gaps must say @why, or there must be none (NULL). */
static void decoded(enum object_kind kind, const struct buffer *text, const char *why,
		    struct object *object)
{
	struct json_gaps gaps;
	char error[200];

	memset(object, 0, sizeof(*object));
	if (json_decode_object(kind, text->data, text->length, object, &gaps, error,
			       sizeof(error)) < 0)
		fail_msg("%s", error);
	if (why && gaps.count == 0)
		fail_msg("nothing was left out, expected \"%s\"", why);
	if (why)
		assert_string_equal(gaps.first, why);
	else
		assert_int_equal(gaps.count, 0);
}

static void test_ports(void **state)
{
	struct buffer text = {0};
	struct object object;

	(void)state;
	write_many(&text, "{\"name\":\"p#\",\"port\":#}", LIMIT_PORTS,
		   "{" META ",\"spec\":{\"ports\":[", "]}}");
	decoded(OBJECT_SERVICE, &text, NULL, &object);
	object_clear(&object);
	write_many(&text, "{\"name\":\"p#\",\"port\":#}", 20000, "{" META ",\"spec\":{\"ports\":[",
		   "]}}");
	decoded(OBJECT_SERVICE, &text, "more than 256 ports", &object);
	assert_int_equal(object.service->port_count, LIMIT_PORTS);
	assert_string_equal(object.service->ports[LIMIT_PORTS - 1].name, "p256");
	object_clear(&object);
	write_many(&text, "{\"name\":\"p#\",\"port\":#}", 20000, SLICE "\"ports\":[",
		   "],\"endpoints\":[{\"addresses\":[\"10.0.0.1\"]}]}");
	decoded(OBJECT_ENDPOINT_SLICE, &text, "more than 256 ports", &object);
	assert_int_equal(object.slices[0].port_count, LIMIT_PORTS);
	assert_int_equal(object.slices[0].endpoint_count, 1);
	object_clear(&object);
	buffer_free(&text);
}

static void test_pick_memory(void **state)
{
	struct buffer text = {0};
	struct object object;

	(void)state;
	write_many(&text, "{\"name\":\"z#\"}", 1000,
		   SLICE "\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"hints\":{\"forZones\":[",
		   "]}},{\"addresses\":[\"10.0.0.2\"]}]}");
	decoded(OBJECT_ENDPOINT_SLICE, &text, "more than 8 hints", &object);
	assert_int_equal(object.slices[0].endpoints[0].zone_hint_count, LIMIT_HINTS);
	assert_string_equal(object.slices[0].endpoints[0].zone_hints[7], "z8");
	assert_int_equal(object.slices[0].endpoint_count, 2);
	object_clear(&object);
	buffer_free(&text);
}

/* A text that is too long is none; one that is as long as it may be is whole. */
static void test_texts(void **state)
{
	static const struct {
		const char *field;
		unsigned limit;
	} fields[] = {
		{"hostname", LIMIT_LABEL_TEXT},
		{"nodeName", LIMIT_NAME_TEXT},
		{"zone", LIMIT_LABEL_TEXT},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(fields) / sizeof(fields[0]); i++) {
		unsigned length = fields[i / 2].limit + i % 2;
		struct buffer text = {0};
		struct object object;
		const struct slice_endpoint *endpoint;
		const char *found;
		char why[64];

		assert_int_equal(
			buffer_printf(
				&text,
				SLICE
				"\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"%s\":\"%0*d\"}]}",
				fields[i / 2].field, (int)length, 7),
			0);
		snprintf(why, sizeof(why), "a name of %u bytes", length);
		decoded(OBJECT_ENDPOINT_SLICE, &text, i % 2 ? why : NULL, &object);
		assert_int_equal(object.slices[0].endpoint_count, 1);
		endpoint = &object.slices[0].endpoints[0];
		found = i / 2 == 0   ? endpoint->hostname
			: i / 2 == 1 ? endpoint->node_name
				     : endpoint->zone;
		assert_int_equal(strlen(found), i % 2 ? 0 : length);
		object_clear(&object);
		buffer_free(&text);
	}
}

/* 1.4 million subsets without an address were 400 MiB of slices. */
static void test_subsets(void **state)
{
	struct buffer text = {0};
	struct object object;

	(void)state;
	write_many(&text, "{}", 100000, "{" META ",\"subsets\":[", "]}");
	decoded(OBJECT_ENDPOINTS, &text, NULL, &object);
	assert_int_equal(object.slice_count, 0);
	assert_null(object.slices);
	object_clear(&object);
	write_many(&text, "{\"addresses\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::#\"}]}", 9999,
		   "{" META ",\"subsets\":[", "]}");
	decoded(OBJECT_ENDPOINTS, &text, "more than 2048 subsets", &object);
	assert_int_equal(object.slice_count, LIMIT_SLICES);
	for (unsigned i = 0; i < object.slice_count; i++) {
		assert_int_equal(object.slices[i].family, i % 2 ? IP_FAMILY_6 : IP_FAMILY_4);
		assert_int_equal(object.slices[i].endpoint_count, 1);
	}
	object_clear(&object);
	buffer_free(&text);
}

/* Two bytes of JSON are 64 of the tree: 4 MiB were 134 MB. */
static void test_values(void **state)
{
	struct buffer text = {0};
	struct object object;
	char error[200];

	(void)state;
	write_many(&text, "0", LIMIT_OBJECT_VALUES, "{" META ",\"spec\":[", "]}");
	assert_int_equal(json_decode_object(OBJECT_SERVICE, text.data, text.length, &object, NULL,
					    error, sizeof(error)),
			 -E2BIG);
	assert_string_equal(error, "an object of more than 524288 values");
	buffer_free(&text);
}

/* ThreadSanitizer's strstr() looks at all that is behind what it finds. */
#ifdef __SANITIZE_THREAD__
#define ESCAPED_NULS 3000
#else
#define ESCAPED_NULS 300000
#endif

/* Each was looked for from the start, so that this ran into the limit of a test's time. */
static void test_many_escaped_nuls(void **state)
{
	struct buffer text = {0};
	struct object object;

	(void)state;
	write_many(&text, "\"\\u0000\"", ESCAPED_NULS, "{" META ",\"a\":[", "],\"spec\":{}}");
	decoded(OBJECT_SERVICE, &text, NULL, &object);
	object_clear(&object);
	buffer_free(&text);
}

/* ---- objects of a stream ---- */

static int count_object(void *ctx, const char *text, size_t size)
{
	unsigned *count = ctx;

	assert_int_equal(strlen(text), size);
	++*count;
	return 0;
}

/* One that is too large costs only itself, in a list and in a watch. */
static void test_a_large_object_among_others(void **state)
{
	static const struct {
		enum json_stream_form form;
		const char *head, *between, *tail;
	} forms[] = {
		{JSON_STREAM_LIST, "{\"items\":[", ",", "],\"kind\":\"ServiceList\"}"},
		{JSON_STREAM_EVENTS, "", "\n", "\n"},
	};
	char *filler = malloc(LIMIT_OBJECT_BYTES + 1);

	(void)state;
	assert_non_null(filler);
	memset(filler, '{', LIMIT_OBJECT_BYTES);
	filler[LIMIT_OBJECT_BYTES] = '\0';
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *parts[] = {forms[i].head,	 "{\"a\":1}", forms[i].between,
				       "{\"b\":\"",	 filler,      "\"}",
				       forms[i].between, "{\"a\":2}", forms[i].tail};
		struct json_stream stream;
		const char *envelope;
		size_t envelope_size;
		unsigned count = 0;
		char error[200];

		json_stream_init(&stream, forms[i].form, count_object, &count);
		for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
			assert_int_equal(json_stream_feed(&stream, parts[p], strlen(parts[p]),
							  error, sizeof(error)),
					 0);
		assert_int_equal(json_stream_finish(&stream, &envelope, &envelope_size, error,
						    sizeof(error)),
				 0);
		assert_int_equal(count, 2);
		assert_int_equal(stream.objects, 3);
		assert_int_equal(stream.left_out, 1);
		json_stream_free(&stream);
	}
	free(filler);
}

/* ---- all objects ---- */

struct told {
	unsigned lines;
	char last[LOG_LINE_SIZE];
};

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	struct told *told = ctx;

	(void)level;
	told->lines++;
	snprintf(told->last, sizeof(told->last), "%s", line);
}

struct fixture {
	struct store *store;
	struct store_scope *scope;
	struct reflector_sink sink;
	struct told told;
};

static void setup(struct fixture *fixture)
{
	struct logger logger = {
		.level = LOG_LEVEL_ERROR, .write = keep_line, .ctx = &fixture->told};

	memset(fixture, 0, sizeof(*fixture));
	assert_int_equal(store_new(&fixture->store), 0);
	store_set_logger(fixture->store, &logger);
	assert_int_equal(store_scope_open(fixture->store, NULL, NULL, &fixture->scope), 0);
	fixture->sink = store_scope_sink(fixture->scope);
}

/* A slice demo/NUMBER of Service "web" or of one of its own, with so many endpoints. */
static void make(struct object *object, unsigned number, bool of_web, unsigned endpoints)
{
	struct endpoint_slice *slice = calloc(1, sizeof(*slice));

	assert_non_null(slice);
	memset(object, 0, sizeof(*object));
	object->kind = OBJECT_ENDPOINT_SLICE;
	strcpy(object->namespace, "demo");
	snprintf(object->name, sizeof(object->name), "%u", number);
	snprintf(slice->service_name, sizeof(slice->service_name), of_web ? "web" : "s%u", number);
	slice->memory = calloc(endpoints + 1, sizeof(slice->endpoints[0]));
	assert_non_null(slice->memory);
	slice->endpoints = slice->memory;
	slice->endpoint_count = endpoints;
	object->slices = slice;
	object->slice_count = 1;
}

static void upsert(const struct fixture *fixture, unsigned number, bool of_web, unsigned endpoints)
{
	struct object object;

	make(&object, number, of_web, endpoints);
	assert_int_equal(fixture->sink.upsert(fixture->sink.ctx, &object), 0);
	object_clear(&object);
}

/* How many slices the Service has. */
static unsigned slices_of(const struct fixture *fixture, const char *service)
{
	struct service_state state;
	unsigned count = 0;

	store_touch_all(fixture->store);
	while (store_take_changed(fixture->store, &state)) {
		if (strcmp(state.name, service) == 0)
			count = state.slice_count;
	}
	return count;
}

static bool has(const struct fixture *fixture, unsigned number)
{
	char service[16];

	snprintf(service, sizeof(service), "s%u", number);
	return slices_of(fixture, service) == 1;
}

static void test_slices_of_a_service(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture);
	for (unsigned i = 0; i < LIMIT_SLICES + 100; i++)
		upsert(&fixture, i, true, 0);
	assert_int_equal(slices_of(&fixture, "web"), LIMIT_SLICES);
	assert_int_equal(fixture.told.lines, 1);
	assert_string_equal(fixture.told.last,
			    "Service demo/web: more than 2048 slices: the others are left out");
	/* Those that are in can change, others go on, and one that goes makes room for one. */
	upsert(&fixture, 7, true, 3);
	assert_int_equal(slices_of(&fixture, "web"), LIMIT_SLICES);
	upsert(&fixture, 99999, false, 1);
	assert_true(has(&fixture, 99999));
	fixture.sink.remove(fixture.sink.ctx, "demo", "8");
	assert_int_equal(slices_of(&fixture, "web"), LIMIT_SLICES - 1);
	upsert(&fixture, 88888, true, 1);
	assert_int_equal(slices_of(&fixture, "web"), LIMIT_SLICES);
	/* Nor by way of another Service's. */
	for (unsigned i = 0; i < 10; i++)
		upsert(&fixture, 5000 + i, false, 0);
	for (unsigned i = 0; i < 10; i++)
		upsert(&fixture, 5000 + i, true, 0);
	assert_in_range(slices_of(&fixture, "web"), LIMIT_SLICES, LIMIT_SLICES + 1);
	assert_int_equal(fixture.told.lines, 1);
	store_free(fixture.store);
}

static void test_endpoints_of_a_collection(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture);
	upsert(&fixture, 1, false, LIMIT_ENDPOINTS - 1);
	upsert(&fixture, 2, false, 1);
	assert_int_equal(fixture.told.lines, 0);
	upsert(&fixture, 3, false, 1);
	assert_false(has(&fixture, 3));
	assert_int_equal(fixture.told.lines, 1);
	/* What one has grown to takes no place of what it was: it is not left as it is no longer.
	 */
	upsert(&fixture, 2, false, 2);
	assert_false(has(&fixture, 2));
	upsert(&fixture, 3, false, 1);
	assert_true(has(&fixture, 3));
	/* In the place of its own it fits. */
	upsert(&fixture, 1, false, LIMIT_ENDPOINTS - 2);
	upsert(&fixture, 2, false, 1);
	assert_true(has(&fixture, 1) && has(&fixture, 2) && has(&fixture, 3));
	assert_int_equal(fixture.told.lines, 1);
	store_free(fixture.store);
}

/* A list whose objects are all others than before needs no more room than either. */
static void test_a_list_of_as_much_as_there_may_be(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(fixture.sink.replace_begin(fixture.sink.ctx), 0);
		for (unsigned i = 0; i < 3; i++) {
			struct object object;

			make(&object, 10 * round + i, false, i < 2 ? LIMIT_ENDPOINTS / 2 : 1);
			assert_int_equal(fixture.sink.replace_item(fixture.sink.ctx, &object), 0);
			object_clear(&object);
		}
		fixture.sink.replace_commit(fixture.sink.ctx);
		assert_true(has(&fixture, 10 * round));
		assert_true(has(&fixture, 10 * round + 1));
		assert_false(has(&fixture, 10 * round + 2));
	}
	assert_int_equal(fixture.told.lines, 1);
	store_free(fixture.store);
}

/* The same gaps are told once, however often the dump is read. */
static void test_gaps_of_a_dump_are_told_once(void **state)
{
	static const char text[] =
		"{\"items\":[{\"kind\":\"Service\"," META
		",\"spec\":{\"clusterIP\":\"x\",\"ports\":[{\"port\":0},{\"port\":80}]}}]}";
	struct told told = {0};
	struct logger logger = {.level = LOG_LEVEL_ERROR, .write = keep_line, .ctx = &told};
	struct dump_counts counts;
	struct store *store;
	struct dump dump;
	char error[200];

	(void)state;
	assert_int_equal(store_new(&store), 0);
	assert_int_equal(dump_init(&dump, store, NULL, NULL, &logger), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			dump_read(&dump, text, sizeof(text) - 1, &counts, error, sizeof(error)), 0);
	assert_int_equal(told.lines, 1);
	assert_string_equal(told.last, "Service demo/web: 2 ports, addresses or names are not "
				       "usable: \"x\" is no address");
	store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_pick_memory),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_subsets),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_many_escaped_nuls),
		cmocka_unit_test(test_a_large_object_among_others),
		cmocka_unit_test(test_slices_of_a_service),
		cmocka_unit_test(test_endpoints_of_a_collection),
		cmocka_unit_test(test_a_list_of_as_much_as_there_may_be),
		cmocka_unit_test(test_gaps_of_a_dump_are_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
