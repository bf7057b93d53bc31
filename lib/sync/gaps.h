/* Says what of an object was left out, once. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_GAPS_H
#define K8SLB_SYNC_GAPS_H

#include "base/log.h"
#include "base/object.h"
#include "kube/json.h"

/* Nothing where nothing was. */
void gaps_log(struct log_once *once, const struct logger *logger, const struct object *object,
	      const struct json_gaps *gaps);

/* Of objects that are too large to be read at all, @count by now; nothing for 0. @what: the kind,
 * or where they come from. */
void gaps_log_large(struct log_once *once, const struct logger *logger, const char *what,
		    uint64_t count);

#endif
