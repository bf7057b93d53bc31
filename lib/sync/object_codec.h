/* Objects to compact bytes and back. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_OBJECT_CODEC_H
#define K8SLB_SYNC_OBJECT_CODEC_H

#include "base/buffer.h"
#include "base/object.h"
#include "sync/bytes.h"

/* Appends the object. Returns 0, -E2BIG or -ENOMEM. */
int object_encode(const struct object *object, struct buffer *bytes);

/*
 * Reads an object of @kind; the bytes may be anything. What it gives keeps every promise that
 * kube/json.h makes of an object, and takes memory in proportion to the bytes.
 * Returns 0, -EBADMSG or -ENOMEM; @ret_object, the caller's to object_clear(), is untouched then.
 */
int object_decode(enum object_kind kind, struct bytes *bytes, struct object *ret_object);

#endif
