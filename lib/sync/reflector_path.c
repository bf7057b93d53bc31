// SPDX-License-Identifier: Apache-2.0
#include "sync/reflector_path.h"

#include <stdio.h>
#include <string.h>

static int append_parameter(struct buffer *path, const char *name, const char *value)
{
	int rc = buffer_append_text(path, strchr(path->data, '?') ? "&" : "?");

	if (rc == 0)
		rc = buffer_append_text(path, name);
	if (rc == 0 && value) {
		rc = buffer_append_text(path, "=");
		if (rc == 0)
			rc = buffer_append_url_encoded(path, value);
	}
	return rc;
}

int reflector_list_path(const struct reflector *r, struct buffer *path)
{
	char page_size[16];
	bool paged = r->request == REFLECTOR_LIST_ANY || r->request == REFLECTOR_LIST_QUORUM;
	int rc = buffer_append_text(path, r->collection_path);

	snprintf(page_size, sizeof(page_size), "%d", REFLECTOR_PAGE_SIZE);
	/* Without the selector, so that the server need not search for the one item. */
	if (rc == 0 && r->request == REFLECTOR_PROBE)
		return append_parameter(path, "limit", "1");
	if (rc == 0 && r->selector[0])
		rc = append_parameter(path, r->selector, NULL);
	if (rc == 0 && paged)
		rc = append_parameter(path, "limit", page_size);
	/* A continue token carries its version; to send both is an error. */
	if (rc == 0 && r->continue_token)
		return append_parameter(path, "continue", r->continue_token);
	if (rc == 0 && r->request == REFLECTOR_LIST_ANY)
		rc = append_parameter(path, "resourceVersion", "0");
	if (rc == 0 && r->request == REFLECTOR_LIST_NOT_OLDER)
		rc = append_parameter(path, "resourceVersion", r->resource_version);
	return rc;
}

int reflector_watch_path(const struct reflector *r, uint32_t watch_s, struct buffer *path)
{
	char seconds[16];
	int rc = buffer_append_text(path, r->collection_path);

	snprintf(seconds, sizeof(seconds), "%u", watch_s);
	if (rc == 0 && r->selector[0])
		rc = append_parameter(path, r->selector, NULL);
	if (rc == 0)
		rc = append_parameter(path, "watch", "true");
	if (rc == 0)
		rc = append_parameter(path, "resourceVersion", r->resource_version);
	if (rc == 0)
		rc = append_parameter(path, "allowWatchBookmarks", "true");
	if (rc == 0)
		rc = append_parameter(path, "timeoutSeconds", seconds);
	return rc;
}
