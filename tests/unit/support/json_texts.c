// SPDX-License-Identifier: Apache-2.0
#include "support/json_texts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/assert_op.h"

char error[256];
struct json_gaps gaps;

int decode_bytes(enum object_kind kind, const char *text, size_t size, struct object *object)
{
	char *copy = malloc(size ? size : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, text, size);
	memset(object, 0, sizeof(*object));
	gaps.count = 0;
	error[0] = '\0';
	rc = json_decode_object(kind, copy, size, object, &gaps, error, sizeof(error));
	free(copy);
	if (rc < 0) {
		assert_true(error[0]);
		assert_int_equal(object->slice_count, 0);
		assert_null(object->service);
	}
	return rc;
}

int decode(enum object_kind kind, const char *text, struct object *object)
{
	return decode_bytes(kind, text, strlen(text), object);
}

void decoded(enum object_kind kind, const char *text, struct object *object)
{
	int rc = decode(kind, text, object);

	if (rc < 0)
		fail_msg("%s: %s", text, error);
}

void refused(enum object_kind kind, const char *text, const char *why)
{
	struct object object;

	assert_int_equal(decode(kind, text, &object), -EBADMSG);
	if (!strstr(error, why))
		fail_msg("\"%s\" does not say \"%s\"", error, why);
}

const char *address(const struct ip_address *ip)
{
	static char text[INET6_ADDRSTRLEN];

	ip_format(ip, text, sizeof(text));
	return text;
}
