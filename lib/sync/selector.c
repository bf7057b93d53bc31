// SPDX-License-Identifier: Apache-2.0
#include "sync/selector.h"

#include <string.h>

/* More names than this in one label selector make a URL that proxies refuse; then all slices of
 * the namespace are followed and the others dropped here. */
#define SELECTOR_NAMES_MAX 50

int selector_path(const char *group_version, const char *namespace, const char *resource,
		  struct buffer *path)
{
	if (strcmp(namespace, "*") == 0)
		return buffer_printf(path, "%s/%s", group_version, resource);
	return buffer_printf(path, "%s/namespaces/%s/%s", group_version, namespace, resource);
}

int selector_of_slices(const char *const *names, unsigned count, struct buffer *selector)
{
	struct buffer expression = {0};
	int rc;

	if (count == 0 || count > SELECTOR_NAMES_MAX)
		return buffer_append_text(selector, "");
	if (count == 1) {
		rc = buffer_printf(&expression, "kubernetes.io/service-name=%s", names[0]);
	} else {
		rc = buffer_append_text(&expression, "kubernetes.io/service-name in (");
		for (unsigned i = 0; rc == 0 && i < count; i++)
			rc = buffer_printf(&expression, "%s%s", i ? "," : "", names[i]);
		if (rc == 0)
			rc = buffer_append_text(&expression, ")");
	}
	if (rc == 0)
		rc = buffer_append_text(selector, "labelSelector=");
	if (rc == 0)
		rc = buffer_append_url_encoded(selector, expression.data);
	buffer_free(&expression);
	return rc;
}

int selector_of_name(const char *name, struct buffer *selector)
{
	int rc;

	if (!name)
		return buffer_append_text(selector, "");
	rc = buffer_append_text(selector, "fieldSelector=");
	if (rc == 0)
		rc = buffer_append_url_encoded(selector, "metadata.name=");
	if (rc == 0)
		rc = buffer_append_url_encoded(selector, name);
	return rc;
}
