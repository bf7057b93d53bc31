// SPDX-License-Identifier: Apache-2.0
/*
 * A list of EndpointSlices from bytes to structs: how fast, and with how much memory.
 *
 *	decode FILE PASSES
 *
 * Memory is counted in a pass of its own by a malloc() that stands in front of glibc's, so that the
 *tree of the parser is seen at its largest.
 */
#include <malloc.h>
#include <stdbool.h>

#include "bench.h"
#include "kube/json.h"
#include "kube/json_stream.h"

/* What one read of a socket gives curl. */
#define CHUNK	   16384
#define MAX_SLICES 5000
#define MAX_PASSES 100

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *memory);

static bool counting;
static size_t allocated;
static size_t allocated_most;

static void *count_in(void *memory)
{
	if (counting && memory) {
		allocated += malloc_usable_size(memory);
		if (allocated > allocated_most)
			allocated_most = allocated;
	}
	return memory;
}

static void count_out(void *memory)
{
	if (counting && memory)
		allocated -= malloc_usable_size(memory);
}

void *malloc(size_t size)
{
	return count_in(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	return count_in(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
	count_out(old);
	return count_in(__libc_realloc(old, size));
}

void free(void *memory)
{
	count_out(memory);
	__libc_free(memory);
}

static struct object slices[MAX_SLICES];
static unsigned slice_count;

static int on_slice(void *ctx, const char *text, size_t size)
{
	char error[256];

	(void)ctx;
	if (slice_count == MAX_SLICES)
		bench_die("more than %d slices", MAX_SLICES);
	if (json_decode_object(OBJECT_ENDPOINT_SLICE, text, size, &slices[slice_count], NULL, error,
			       sizeof(error)) < 0)
		bench_die("%s", error);
	slice_count++;
	return 0;
}

static void decode(const char *text, size_t size)
{
	struct json_stream stream;
	char error[256];

	slice_count = 0;
	json_stream_init(&stream, JSON_STREAM_LIST, on_slice, NULL);
	for (size_t at = 0; at < size; at += CHUNK) {
		size_t part = size - at < CHUNK ? size - at : CHUNK;

		if (json_stream_feed(&stream, text + at, part, error, sizeof(error)) < 0)
			bench_die("%s", error);
	}
	json_stream_free(&stream);
}

static void drop(void)
{
	for (unsigned i = 0; i < slice_count; i++)
		object_clear(&slices[i]);
}

static int skip_slice(void *ctx, const char *text, size_t size)
{
	(void)ctx;
	(void)text;
	(void)size;
	return 0;
}

/* The cutting into objects alone. */
static void cut(const char *text, size_t size)
{
	struct json_stream stream;
	char error[256];

	json_stream_init(&stream, JSON_STREAM_LIST, skip_slice, NULL);
	for (size_t at = 0; at < size; at += CHUNK) {
		size_t part = size - at < CHUNK ? size - at : CHUNK;

		if (json_stream_feed(&stream, text + at, part, error, sizeof(error)) < 0)
			bench_die("%s", error);
	}
	json_stream_free(&stream);
}

static char *read_file(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "rb");
	char *text;
	long size;

	if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0)
		bench_die("%s: %m", path);
	rewind(file);
	text = malloc((size_t)size);
	if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
		bench_die("%s: cannot be read", path);
	fclose(file);
	*ret_size = (size_t)size;
	return text;
}

int main(int argc, char **argv)
{
	static uint64_t decode_ns[MAX_PASSES];
	static uint64_t cut_ns[MAX_PASSES];
	unsigned passes = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
	unsigned endpoints = 0;
	size_t result;
	size_t size;
	char *text;

	if (!passes || passes > MAX_PASSES)
		bench_die("usage: decode FILE PASSES");
	bench_pin(0);
	text = read_file(argv[1], &size);

	counting = true;
	decode(text, size);
	result = allocated;
	for (unsigned i = 0; i < slice_count; i++)
		for (unsigned j = 0; j < slices[i].slice_count; j++)
			endpoints += slices[i].slices[j].endpoint_count;
	drop();
	counting = false;

	for (unsigned i = 0; i < passes; i++) {
		uint64_t start = bench_now_ns();

		decode(text, size);
		decode_ns[i] = bench_now_ns() - start;
		drop();
		start = bench_now_ns();
		cut(text, size);
		cut_ns[i] = bench_now_ns() - start;
	}
	printf("{\"bytes\": %zu, \"slices\": %u, \"endpoints\": %u, \"result_bytes\": %zu, "
	       "\"extra_bytes\": %zu, ",
	       size, slice_count, endpoints, result, allocated_most - result);
	bench_print_percentiles("decode_ns", decode_ns, passes);
	printf(", ");
	bench_print_percentiles("cut_ns", cut_ns, passes);
	printf("}\n");
	free(text);
	return 0;
}
