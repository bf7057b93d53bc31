// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "kube/json_read.h"
#include "kube/json_stream.h"

/* A Retry-After of more than a day is no advice. */
#define RETRY_AFTER_MAX_S 86400

void json_read_status(struct json_decoder *decoder, const cJSON *root, struct kube_status *status)
{
	const char *reason = json_get_text(decoder, root, "reason");
	const char *message = json_get_text(decoder, root, "message");
	const cJSON *details = json_get_object(decoder, root, "details");
	const cJSON *causes = json_get_array(decoder, details, "details.causes");
	const cJSON *cause;
	long code = 0;

	if (strcmp(json_get_text(decoder, root, "kind"), "Status") != 0)
		json_bad(decoder, "kind is not Status");
	json_is_integer(json_member(root, "code"), 0, 999, &code);
	status->code = (int)code;
	status->retry_after_s = -1;
	json_is_integer(json_member(details, "retryAfterSeconds"), 0, RETRY_AFTER_MAX_S,
			&status->retry_after_s);
	cJSON_ArrayForEach (cause, causes) {
		const char *text = json_get_text(decoder, cause, "details.causes[].reason");

		if (strcmp(text, "ResourceVersionTooLarge") == 0)
			status->resource_version_too_large = true;
	}
	json_printable(status->reason, sizeof(status->reason), reason, strlen(reason));
	json_printable(status->message, sizeof(status->message), message, strlen(message));
}

int json_decode_status(const char *text, size_t size, struct kube_status *ret_status, char *error,
		       size_t error_size)
{
	struct json_decoder decoder = {.error = error, .error_size = error_size};
	struct kube_status status = {0};
	cJSON *root = json_parse(&decoder, text, size);

	if (!root)
		return decoder.rc;
	json_read_status(&decoder, root, &status);
	cJSON_Delete(root);
	if (decoder.rc == 0)
		*ret_status = status;
	return decoder.rc;
}
