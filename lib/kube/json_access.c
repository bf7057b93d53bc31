// SPDX-License-Identifier: Apache-2.0
#include "kube/json_access.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void json_bad(struct json_decoder *decoder, const char *format, ...)
{
	va_list args;
	int length;

	if (decoder->rc < 0)
		return;
	decoder->rc = -EBADMSG;
	length = snprintf(decoder->error, decoder->error_size, "%s", decoder->where);
	if (length < 0 || (size_t)length >= decoder->error_size)
		return;
	va_start(args, format);
	vsnprintf(decoder->error + length, decoder->error_size - (size_t)length, format, args);
	va_end(args);
}

void json_gap(struct json_decoder *decoder, const char *format, ...)
{
	struct json_gaps *gaps = &decoder->gaps;
	va_list args;

	if (decoder->seen || gaps->count++)
		return;
	va_start(args, format);
	vsnprintf(gaps->first, sizeof(gaps->first), format, args);
	va_end(args);
}

void json_no_memory(struct json_decoder *decoder)
{
	if (decoder->rc < 0)
		return;
	decoder->rc = -ENOMEM;
	snprintf(decoder->error, decoder->error_size, "out of memory");
}

const cJSON *json_member(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNull(item) ? NULL : item;
}

static const cJSON *get(struct json_decoder *decoder, const cJSON *object, const char *field,
			cJSON_bool (*is_type)(const cJSON *), const char *type)
{
	const char *dot = strrchr(field, '.');
	const cJSON *item = json_member(object, dot ? dot + 1 : field);

	if (!item || is_type(item))
		return item;
	json_bad(decoder, "%s is not %s", field, type);
	return NULL;
}

const cJSON *json_get_object(struct json_decoder *decoder, const cJSON *object, const char *field)
{
	return get(decoder, object, field, cJSON_IsObject, "an object");
}

const cJSON *json_get_array(struct json_decoder *decoder, const cJSON *object, const char *field)
{
	return get(decoder, object, field, cJSON_IsArray, "an array");
}

const char *json_get_text(struct json_decoder *decoder, const cJSON *object, const char *field)
{
	const cJSON *item = get(decoder, object, field, cJSON_IsString, "a string");

	return item ? item->valuestring : "";
}

bool json_get_bool(struct json_decoder *decoder, const cJSON *object, const char *field,
		   bool by_default)
{
	const cJSON *item = get(decoder, object, field, cJSON_IsBool, "true or false");

	return item ? cJSON_IsTrue(item) : by_default;
}

bool json_check_object(struct json_decoder *decoder, const cJSON *item, const char *field)
{
	if (cJSON_IsObject(item))
		return true;
	json_bad(decoder, "%s is not an object", field);
	return false;
}

bool json_is_integer(const cJSON *item, long min, long max, long *ret_value)
{
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= (double)min) ||
	    !(item->valuedouble <= (double)max) || item->valuedouble != (long)item->valuedouble)
		return false;
	*ret_value = (long)item->valuedouble;
	return true;
}
