/* A JSON tree with typed access: the first error stays and the reading goes on with defaults. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_JSON_ACCESS_H
#define K8SLB_KUBE_JSON_ACCESS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/object.h"
#include "kube/json.h"

/* How much of a name or text goes into a message. */
#define JSON_QUOTE_SIZE 41

/* One call of a function of kube/json.h. Only the end has to look at @rc. */
struct json_decoder {
	enum object_kind kind;
	char where[OBJECT_NAME_SIZE + DNS_LABEL_SIZE + 24]; /* "Service demo/web: " once known */
	struct json_gaps gaps;
	bool seen;   /* what is read now was read before: its gaps are known */
	int rc;	     /* 0, or of the first error -EBADMSG, -ENOMEM, -E2BIG (kube/json.h) */
	char *error; /* never NULL */
	size_t error_size;
};

/* What has been read makes no sense: -EBADMSG with @where and these words. */
void json_bad(struct json_decoder *decoder, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void json_no_memory(struct json_decoder *decoder);

/* A part is left out, for this reason. */
void json_gap(struct json_decoder *decoder, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The tree, the caller's to cJSON_Delete(), or NULL with the decoder's error set. @text need not be
 * NUL-terminated.
 */
cJSON *json_parse(struct json_decoder *decoder, const char *text, size_t size);

/* The member; NULL when it is absent or null, or @object is. */
const cJSON *json_member(const cJSON *object, const char *name);

/*
 * The following take the field as messages show it, "endpoints[].conditions.ready", of which
 * @object (NULL: has none) holds the last part. A member that is absent or null gives NULL or the
 * default; one of another type does too, and is an error.
 */
const cJSON *json_get_object(struct json_decoder *decoder, const cJSON *object, const char *field);
const cJSON *json_get_array(struct json_decoder *decoder, const cJSON *object, const char *field);

/* Never NULL; lives as long as the tree. */
const char *json_get_text(struct json_decoder *decoder, const cJSON *object, const char *field);

bool json_get_bool(struct json_decoder *decoder, const cJSON *object, const char *field,
		   bool by_default);

/* For the elements of an array: whether @item is an object; else it is an error. */
bool json_check_object(struct json_decoder *decoder, const cJSON *item, const char *field);

/* Whether @item is a whole number of the range; else @ret_value is left alone, and no error. */
bool json_is_integer(const cJSON *item, long min, long max, long *ret_value);

#endif
