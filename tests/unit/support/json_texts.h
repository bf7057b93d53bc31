/* Decoding for tests: texts of objects, and what became of them. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_JSON_TEXTS_H
#define K8SLB_TESTS_JSON_TEXTS_H

#include "kube/json.h"

#define META(name) \
	"\"metadata\":{\"name\":\"" name "\",\"namespace\":\"demo\",\"resourceVersion\":\"5\"}"
#define SLICE_META                                                                                \
	"\"metadata\":{\"name\":\"web-abc\",\"namespace\":\"demo\",\"resourceVersion\":\"1234\"," \
	"\"labels\":{\"kubernetes.io/service-name\":\"web\"}}"
#define SLICE(members) "{" SLICE_META ",\"addressType\":\"IPv4\"," members "}"
#define SERVICE(spec)  "{" META("web") ",\"spec\":{" spec "}}"

/* Of the last call of any function here. */
extern char error[256];
extern struct json_gaps gaps;

/* json_decode_object() of a copy without a NUL, so that a read beyond the end is seen. */
int decode_bytes(enum object_kind kind, const char *text, size_t size, struct object *object);
int decode(enum object_kind kind, const char *text, struct object *object);

/* Fails the test when the text is not decoded, or not refused for the reason @why. */
void decoded(enum object_kind kind, const char *text, struct object *object);
void refused(enum object_kind kind, const char *text, const char *why);

/* As text; valid until the next call. */
const char *address(const struct ip_address *ip);

#endif
