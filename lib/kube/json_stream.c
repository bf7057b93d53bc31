// SPDX-License-Identifier: Apache-2.0
#include "kube/json_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

/* What is expected next. */
enum state {
	LIST_START,  /* the list's '{' */
	IN_ENVELOPE, /* anything of the list but its items */
	ITEMS_COLON, /* the ':' after "items" */
	ITEMS_VALUE, /* '[' or null */
	ITEMS_N,     /* the other letters of null, one state each */
	ITEMS_NU,
	ITEMS_NUL,
	ITEM_OR_END,	 /* after '[': an item or ']' */
	ITEM,		 /* after ',': an item */
	ITEM_END,	 /* after an item: ',' or ']' */
	BETWEEN_OBJECTS, /* an object or an event, or the end */
	IN_OBJECT,	 /* the rest of an item, object or event */
	LIST_DONE,	 /* nothing but white space */
};

enum scan_result {
	SCAN_MORE,   /* all data is taken, the text goes on */
	SCAN_CLOSED, /* the bracket that was opened first is closed */
	SCAN_STRING, /* a string of the list itself is complete: a key, maybe */
};

/* Bytes that a string goes on with: not '"', '\\' or a control character. */
static const unsigned char plain_in_string[256] = {
	[0x20 ... 0x21] = 1,
	[0x23 ... 0x5b] = 1,
	[0x5d ... 0xff] = 1,
};

/* Bytes outside of strings that change nothing here: ASCII but '"', "[]{}" and control characters.
 */
static const unsigned char plain_outside[256] = {
	['\t'] = 1, ['\r'] = 1,		 [0x20 ... 0x21] = 1, [0x23 ... 0x5a] = 1,
	[0x5c] = 1, [0x5e ... 0x7a] = 1, [0x7c] = 1,	      [0x7e] = 1,
};

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

void json_printable(char *copy, size_t size, const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length && i + 1 < size; i++)
		copy[i] = text[i] >= 0x20 && text[i] <= 0x7e ? text[i] : '?';
	copy[i] = '\0';
}

static int unexpected(const char *at, const char *end, char *error, size_t error_size)
{
	char quote[33];

	json_printable(quote, sizeof(quote), at, (size_t)(end - at));
	snprintf(error, error_size, "not the JSON that was asked for, at \"%s\"", quote);
	return -EBADMSG;
}

void json_stream_init(struct json_stream *stream, enum json_stream_form form,
		      int (*on_object)(void *ctx, const char *text, size_t size), void *ctx)
{
	*stream = (struct json_stream){
		.form = form,
		.on_object = on_object,
		.ctx = ctx,
		.object.limit = LIMIT_OBJECT_BYTES,
		.envelope.limit = JSON_ENVELOPE_LIMIT,
		.state = form == JSON_STREAM_LIST ? LIST_START : BETWEEN_OBJECTS,
	};
}

/* Takes the bytes of an opened object, or of the envelope, up to what enum scan_result says. */
static int scan(struct json_stream *stream, struct buffer *into, const char **cursor,
		const char *end, char *error, size_t error_size)
{
	bool envelope = into == &stream->envelope;
	const char *start = *cursor;
	const char *at = start;
	enum scan_result result = SCAN_MORE;
	int rc;

	while (at < end && result == SCAN_MORE) {
		if (stream->in_string) {
			while (!stream->escaped && at < end && plain_in_string[(unsigned char)*at])
				at++;
			if (at == end)
				break;
			if ((unsigned char)*at < 0x20)
				return unexpected(at, end, error, error_size);
			if (stream->escaped) {
				stream->escaped = false;
			} else if (*at == '\\') {
				stream->escaped = true;
			} else {
				stream->in_string = false;
				if (envelope && stream->depth == 1)
					result = SCAN_STRING;
			}
			at++;
			continue;
		}
		while (at < end && plain_outside[(unsigned char)*at])
			at++;
		if (at == end)
			break;
		/* An event is one line: an event that was cut off must not swallow those behind it.
		 */
		if (*at == '\n' && stream->form != JSON_STREAM_EVENTS) {
			at++;
			continue;
		}
		switch (*at) {
		case '"':
			stream->in_string = true;
			if (envelope && stream->depth == 1)
				stream->key_start = into->length + (size_t)(at - start);
			break;
		case '{':
		case '[':
			if (stream->depth == JSON_DEPTH_LIMIT) {
				snprintf(error, error_size, "JSON nested deeper than %d levels",
					 JSON_DEPTH_LIMIT);
				return -E2BIG;
			}
			stream->depth++;
			stream->brackets = stream->brackets << 1 | (*at == '{');
			break;
		case '}':
		case ']':
			if ((stream->brackets & 1) != (*at == '}'))
				return unexpected(at, end, error, error_size);
			stream->brackets >>= 1;
			if (--stream->depth == 0)
				result = SCAN_CLOSED;
			break;
		default:
			return unexpected(at, end, error, error_size);
		}
		at++;
	}
	rc = stream->too_large ? 0 : buffer_append(into, start, (size_t)(at - start));
	if (rc == -E2BIG && !envelope && stream->form != JSON_STREAM_OBJECT) {
		/* One costs only itself. */
		stream->too_large = true;
		stream->left_out++;
		rc = 0;
	}
	if (rc == -E2BIG)
		snprintf(error, error_size, "%s larger than %zu bytes",
			 envelope ? "a list's metadata" : "an object", into->limit);
	else if (rc < 0)
		snprintf(error, error_size, "out of memory");
	if (rc < 0)
		return rc;
	*cursor = at;
	return (int)result;
}

/* The string that just ended is the key "items" of the list. Keys follow '{' or ','. */
static bool is_items_key(const struct json_stream *stream)
{
	static const char key[] = "\"items\"";
	const char *text = stream->envelope.data;
	size_t before = stream->key_start;

	if (stream->envelope.length - before != sizeof(key) - 1 ||
	    memcmp(text + before, key, sizeof(key) - 1) != 0)
		return false;
	do
		before--; /* stops at the list's '{' at the latest */
	while (is_space(text[before]));
	return text[before] == '{' || text[before] == ',';
}

static int scan_envelope(struct json_stream *stream, const char **cursor, const char *end,
			 char *error, size_t error_size)
{
	int result = scan(stream, &stream->envelope, cursor, end, error, error_size);

	if (result == SCAN_CLOSED) {
		stream->state = LIST_DONE;
	} else if (result == SCAN_STRING && is_items_key(stream)) {
		if (stream->items_seen) {
			snprintf(error, error_size, "a list with \"items\" twice");
			return -EBADMSG;
		}
		stream->items_seen = true;
		stream->state = ITEMS_COLON;
	}
	return result < 0 ? result : 0;
}

static int scan_object(struct json_stream *stream, const char **cursor, const char *end,
		       char *error, size_t error_size)
{
	int rc = scan(stream, &stream->object, cursor, end, error, error_size);

	if (rc != SCAN_CLOSED)
		return rc;
	stream->state = stream->form == JSON_STREAM_LIST ? ITEM_END : BETWEEN_OBJECTS;
	stream->objects++;
	if (stream->too_large) {
		stream->too_large = false;
		buffer_free(&stream->object);
		return 0;
	}
	rc = stream->on_object(stream->ctx, stream->object.data, stream->object.length);
	buffer_clear(&stream->object);
	return rc < 0 ? rc : 0;
}

static void begin(struct json_stream *stream, enum state state)
{
	stream->state = state;
	stream->depth = 0;
	stream->brackets = 0;
}

/* Behind the items the list itself goes on: one brace is open. */
static void resume_envelope(struct json_stream *stream)
{
	stream->state = IN_ENVELOPE;
	stream->depth = 1;
	stream->brackets = 1;
}

/*
 * Looks at one byte between objects. Returns 1 when it is taken, 0 when it begins what scan()
 * takes, -EBADMSG when it should not be there, or an error of the buffer.
 */
static int step(struct json_stream *stream, char c)
{
	int rc = 0;

	switch ((enum state)stream->state) {
	case ITEMS_N:
	case ITEMS_NU:
	case ITEMS_NUL:
		if (c != (stream->state == ITEMS_N ? 'u' : 'l'))
			return -EBADMSG;
		if (stream->state == ITEMS_NUL)
			resume_envelope(stream);
		else
			stream->state++;
		return 1;
	default:
		if (is_space(c))
			return 1;
	}

	switch ((enum state)stream->state) {
	case LIST_START:
		if (c != '{')
			return -EBADMSG;
		begin(stream, IN_ENVELOPE);
		return 0;
	case ITEMS_COLON:
		if (c != ':')
			return -EBADMSG;
		stream->state = ITEMS_VALUE;
		return 1;
	case ITEMS_VALUE:
		if (c != '[' && c != 'n')
			return -EBADMSG;
		stream->state = c == '[' ? ITEM_OR_END : ITEMS_N;
		rc = buffer_append_text(&stream->envelope, ":[]");
		return rc < 0 ? rc : 1;
	case ITEM_END:
		if (c == ',') {
			stream->state = ITEM;
			return 1;
		}
		break;
	case ITEM_OR_END:
	case ITEM:
		if (c == '{') {
			begin(stream, IN_OBJECT);
			return 0;
		}
		break;
	case BETWEEN_OBJECTS:
		if (c != '{' || (stream->form == JSON_STREAM_OBJECT && stream->objects == 1))
			return -EBADMSG;
		begin(stream, IN_OBJECT);
		return 0;
	default: /* LIST_DONE; inside of texts and of null is dealt with elsewhere */
		return -EBADMSG;
	}
	if (c != ']' || stream->state == ITEM)
		return -EBADMSG;
	resume_envelope(stream);
	return 1;
}

int json_stream_feed(struct json_stream *stream, const char *data, size_t size, char *error,
		     size_t error_size)
{
	const char *at = data;
	const char *end = data + size;

	while (at < end) {
		int rc;

		if (stream->state == IN_OBJECT) {
			rc = scan_object(stream, &at, end, error, error_size);
		} else if (stream->state == IN_ENVELOPE) {
			rc = scan_envelope(stream, &at, end, error, error_size);
		} else {
			rc = step(stream, *at);
			if (rc == -EBADMSG)
				return unexpected(at, end, error, error_size);
			if (rc < 0)
				snprintf(error, error_size,
					 "a list's metadata too large, or no memory");
			else
				at += rc;
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

int json_stream_finish(struct json_stream *stream, const char **ret_envelope, size_t *ret_size,
		       char *error, size_t error_size)
{
	switch (stream->form) {
	case JSON_STREAM_EVENTS:
		return 0;
	case JSON_STREAM_OBJECT:
		if (stream->state == BETWEEN_OBJECTS && stream->objects == 1)
			return 0;
		snprintf(error, error_size, "the object ended early");
		return -EBADMSG;
	case JSON_STREAM_LIST:
		break;
	}
	if (stream->state != LIST_DONE) {
		snprintf(error, error_size, "the list ended early, after %llu items",
			 (unsigned long long)stream->objects);
		return -EBADMSG;
	}
	if (!stream->items_seen) {
		snprintf(error, error_size, "a list without \"items\"");
		return -EBADMSG;
	}
	*ret_envelope = stream->envelope.data;
	*ret_size = stream->envelope.length;
	return 0;
}

void json_stream_free(struct json_stream *stream)
{
	buffer_free(&stream->object);
	buffer_free(&stream->envelope);
}
