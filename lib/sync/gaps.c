// SPDX-License-Identifier: Apache-2.0
#include "sync/gaps.h"

#include "base/limits.h"

void gaps_log(struct log_once *once, const struct logger *logger, const struct object *object,
	      const struct json_gaps *gaps)
{
	const char *kind = object_kind_name(object->kind);

	if (gaps->count)
		log_once(once, logger, LOG_LEVEL_ERROR,
			 "%s %s/%s: %u ports, addresses or names are not usable: %s", kind,
			 object->namespace, object->name, gaps->count, gaps->first);
	if (object->truncated)
		log_once(once, logger, LOG_LEVEL_ERROR,
			 "%s %s/%s lists only 1000 of its addresses: allow to read EndpointSlices",
			 kind, object->namespace, object->name);
}

void gaps_log_large(struct log_once *once, const struct logger *logger, const char *what,
		    uint64_t count)
{
	if (count)
		log_once(once, logger, LOG_LEVEL_ERROR,
			 "%s: an object of more than %u bytes is left out", what,
			 LIMIT_OBJECT_BYTES);
}
