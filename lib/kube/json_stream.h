/* Cuts a JSON body into its objects while it arrives: the items of a list, the events of a watch.
 */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_JSON_STREAM_H
#define K8SLB_KUBE_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum json_stream_form {
	JSON_STREAM_LIST,   /* {"kind":..,"metadata":{..},"items":[ITEM,ITEM,..]} in any order */
	JSON_STREAM_OBJECT, /* one object: an item on its own */
	JSON_STREAM_EVENTS, /* EVENT EVENT EVENT.. : a watch; white space of any kind or none may
			       stand between, but within an event is no line break */
};

/* Largest rest of a list without its items: kind, apiVersion, metadata. */
#define JSON_ENVELOPE_LIMIT (64 * 1024)
/* Deepest nesting of braces and brackets; a Service has less than 10. Keeps the parser's recursion
 * within a small thread's stack. */
#define JSON_DEPTH_LIMIT 48

/*
 * Knows only strings, braces and brackets: a text with balanced ones passes, and the parser of the
 * single object then says what is wrong with it. A NUL or another control character is refused
 * wherever JSON forbids it. Memory: one item plus the envelope.
 */
struct json_stream {
	enum json_stream_form form;
	/* Gets each item or event, NUL-terminated, valid during the call only. A negative return
	 * ends json_stream_feed() with that value. */
	int (*on_object)(void *ctx, const char *text, size_t size);
	void *ctx;
	uint64_t objects;  /* so far */
	uint64_t left_out; /* larger than LIMIT_OBJECT_BYTES: not given to on_object */
	/* The rest is the scanner's own. */
	struct buffer object;
	struct buffer envelope;
	size_t key_start;  /* where the last string of the list itself begins in @envelope */
	uint64_t brackets; /* one bit a level, the innermost lowest: 1 a brace, 0 a bracket */
	unsigned depth;
	unsigned state;
	bool in_string;
	bool escaped; /* the last byte was the backslash of a string */
	bool items_seen;
	bool too_large; /* the object that is being read */
};

/* Any pending text is dropped by json_stream_free(). */
void json_stream_init(struct json_stream *stream, enum json_stream_form form,
		      int (*on_object)(void *ctx, const char *text, size_t size), void *ctx);

/*
 * Takes the next bytes of the body, cut anywhere. Returns 0, what on_object returned, or with the
 * reason in @error:
 *   -EBADMSG  not JSON of this form (the bytes where it went wrong are quoted, made printable)
 *   -E2BIG    a limit above is passed, or the only object is larger than LIMIT_OBJECT_BYTES
 *   -ENOMEM
 * After an error the stream must not be fed again.
 */
int json_stream_feed(struct json_stream *stream, const char *data, size_t size, char *error,
		     size_t error_size);

/*
 * The body came to its end. LIST: gives the envelope, the object without its items ("items" is
 * left as an empty array, also where it was null), NUL-terminated, valid until json_stream_free();
 * a body that stopped early, or a list without "items" (the API server always sends it), is
 * -EBADMSG. OBJECT: -EBADMSG unless exactly one came. EVENTS: always 0; a started event is dropped,
 * as client-go does. @ret_envelope and @ret_size may be NULL for the other forms.
 */
int json_stream_finish(struct json_stream *stream, const char **ret_envelope, size_t *ret_size,
		       char *error, size_t error_size);

/* Frees the memory. Takes a zeroed struct. */
void json_stream_free(struct json_stream *stream);

/*
 * Copies @length bytes of @text for a message: everything but printable ASCII becomes '?', what
 * does not fit is cut. @size > 0; the result is NUL-terminated.
 */
void json_printable(char *copy, size_t size, const char *text, size_t length);

#endif
