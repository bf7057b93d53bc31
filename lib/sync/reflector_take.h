/* From the body of a reflector's answer to its sink: the items of a list, the events of a watch. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_REFLECTOR_TAKE_H
#define K8SLB_SYNC_REFLECTOR_TAKE_H

#include "sync/reflector.h"

/* Before @r->request is made; json_stream_free(&r->stream) ends it. */
void reflector_take_begin(struct reflector *r);

/*
 * Takes the next bytes. What cannot be decoded but names itself, or is too large, is logged and
 * costs only itself. Returns 0, or a negative value to have the request ended: @r->body says why,
 * with @body_problem or @error_event. Of an answer that is an error the body is kept in
 * @error_body.
 */
int reflector_take(struct reflector *r, const char *data, size_t size);

#endif
