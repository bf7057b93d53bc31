/* Fuzzes lib/kube/json_stream.c: the same bytes, cut in two ways, must give the same objects. */
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "kube/json_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	int rc;
	uint64_t objects;
	uint64_t hash;
};

static int take_object(void *ctx, const char *text, size_t size)
{
	struct outcome *outcome = ctx;

	if (strlen(text) != size || text[0] != '{' || text[size - 1] != '}')
		abort();
	outcome->hash = hash_bytes(outcome->hash, text, size);
	return 0;
}

static struct outcome run(enum json_stream_form form, const char *text, size_t size, size_t step)
{
	struct outcome outcome = {0};
	struct json_stream stream;
	const char *envelope = "";
	size_t envelope_size = 0;
	char error[128];

	json_stream_init(&stream, form, take_object, &outcome);
	for (size_t at = 0; at < size && outcome.rc == 0; at += step) {
		size_t piece = size - at < step ? size - at : step;

		outcome.rc = json_stream_feed(&stream, text + at, piece, error, sizeof(error));
	}
	if (outcome.rc == 0)
		outcome.rc = json_stream_finish(&stream, &envelope, &envelope_size, error,
						sizeof(error));
	if (outcome.rc == 0)
		outcome.hash = hash_bytes(outcome.hash, envelope, envelope_size);
	outcome.objects = stream.objects;
	json_stream_free(&stream);
	return outcome;
}

/* The first byte chooses the form, the second the size of the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, cut;
	enum json_stream_form form;
	char *text;

	if (size < 2)
		return 0;
	form = (enum json_stream_form)(data[0] % 3);
	text = malloc(size - 1);
	if (!text)
		return 0;
	memcpy(text, data + 2, size - 2);
	whole = run(form, text, size - 2, size);
	cut = run(form, text, size - 2, data[1] % 16 + 1u);
	if (whole.rc != cut.rc || whole.objects != cut.objects || whole.hash != cut.hash)
		abort();
	free(text);
	return 0;
}
