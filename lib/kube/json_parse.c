// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "kube/json_access.h"
#include "kube/json_stream.h"

struct parse {
	struct json_decoder *decoder;
	cJSON *root;
};

static const char nul_escape[] = "\\u0000";

/* The first escape for NUL in a string, or NULL. */
static const char *find_escaped_nul(const char *text, size_t size)
{
	const char *from = text;
	const char *found;

	while ((found = memmem(from, size - (size_t)(from - text), nul_escape,
			       sizeof(nul_escape) - 1))) {
		const char *backslash = found;

		/* An even number before it: backslashes that escape each other. */
		while (backslash > text && backslash[-1] == '\\')
			backslash--;
		if ((found - backslash) % 2 == 0)
			return found;
		from = found + 1;
	}
	return NULL;
}

/*
 * cJSON would end the string at an escaped NUL: "10.0.0.1\u0000.example" as a good address. With
 * \u0001 in its place the string stays whole, and no name or address has that.
 */
static char *without_escaped_nul(const char *text, size_t size)
{
	char *copy = malloc(size + 1);
	char *at = copy;

	if (!copy)
		return NULL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	for (const char *found; (found = find_escaped_nul(at, size - (size_t)(at - copy)));) {
		at = copy + (found - copy) + sizeof(nul_escape) - 1;
		at[-1] = '1';
	}
	return copy;
}

/* Each takes 64 bytes as a part of the tree; a comma or an opening bracket comes before each but
 * the first. Those in strings count too. */
static bool has_too_many_values(const char *text, size_t size)
{
	size_t count = 0;

	if (size <= LIMIT_OBJECT_VALUES)
		return false;
	for (size_t i = 0; i < size; i++)
		count += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return count > LIMIT_OBJECT_VALUES;
}

static int parse_object(void *ctx, const char *text, size_t size)
{
	struct parse *parse = ctx;
	const char *end = NULL;
	char quote[JSON_QUOTE_SIZE];

	if (find_escaped_nul(text, size)) {
		char *copy = without_escaped_nul(text, size);
		int rc;

		if (!copy) {
			json_no_memory(parse->decoder);
			return -ENOMEM;
		}
		rc = parse_object(ctx, copy, size);
		free(copy);
		return rc;
	}
	if (has_too_many_values(text, size)) {
		json_bad(parse->decoder, "an object of more than %u values", LIMIT_OBJECT_VALUES);
		parse->decoder->rc = -E2BIG;
		return -E2BIG;
	}
	/* cJSON does not say why it failed; malloc does. */
	errno = 0;
	parse->root = cJSON_ParseWithLengthOpts(text, size, &end, 0);
	if (parse->root && end == text + size)
		return 0;
	if (!parse->root && errno == ENOMEM) {
		json_no_memory(parse->decoder);
		return -ENOMEM;
	}
	if (!end || end < text || end > text + size)
		end = text;
	json_printable(quote, sizeof(quote), end, size - (size_t)(end - text));
	json_bad(parse->decoder, "not valid JSON at \"%s\"", quote);
	return -EBADMSG;
}

/*
 * The stream bounds size and depth and refuses what is cut off before cJSON sees it: cJSON's
 * recursion needs a stack in proportion, and before 1.7.18 it read one byte beyond a cut text.
 */
cJSON *json_parse(struct json_decoder *decoder, const char *text, size_t size)
{
	struct parse parse = {.decoder = decoder};
	struct json_stream stream;
	int rc;

	json_stream_init(&stream, JSON_STREAM_OBJECT, parse_object, &parse);
	rc = json_stream_feed(&stream, text, size, decoder->error, decoder->error_size);
	if (rc == 0)
		rc = json_stream_finish(&stream, NULL, NULL, decoder->error, decoder->error_size);
	json_stream_free(&stream);
	if (rc == 0)
		return parse.root;
	/* A stream has a limit of depth, too; that is no object of ours. */
	if (decoder->rc != -E2BIG)
		decoder->rc = rc == -ENOMEM ? -ENOMEM : -EBADMSG;
	cJSON_Delete(parse.root);
	return NULL;
}
