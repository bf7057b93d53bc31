// SPDX-License-Identifier: Apache-2.0
#include "sync/reflector_refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 5))) static struct refusal refusal(enum reflector_contact contact,
								    enum reflector_request next,
								    enum refusal_wait wait,
								    const char *format, ...)
{
	struct refusal refusal = {.next = next, .wait = wait, .contact = contact};
	va_list args;

	va_start(args, format);
	vsnprintf(refusal.problem, sizeof(refusal.problem), format, args);
	va_end(args);
	return refusal;
}

enum reflector_request refusal_again(enum reflector_request asked)
{
	return asked == REFLECTOR_PROBE ? REFLECTOR_LIST_NOT_OLDER : asked;
}

static bool is_gone(int code, const char *reason)
{
	return code == 410 || strcmp(reason, "Expired") == 0 || strcmp(reason, "Gone") == 0;
}

/* The version that was asked for is too old. */
static struct refusal version_gone(enum reflector_request asked, bool paging)
{
	if (asked == REFLECTOR_WATCH)
		return refusal(REFLECTOR_LOST, REFLECTOR_LIST_NOT_OLDER, REFUSAL_PAUSE,
			       "410 the watch's version is gone");
	return refusal(REFLECTOR_LOST,
		       paging && asked != REFLECTOR_LIST_WHOLE ? REFLECTOR_LIST_WHOLE
							       : REFLECTOR_LIST_QUORUM,
		       REFUSAL_ONCE_AT_ONCE, "410 the list's version is gone");
}

struct refusal refusal_of_answer(enum reflector_request asked, bool paging, int status,
				 const struct kube_status *said)
{
	enum reflector_request again = refusal_again(asked);
	bool denied = status == 403 || status == 404;
	struct refusal result;

	/* Without the selector it may be forbidden where the list itself is not. */
	if (asked == REFLECTOR_PROBE && denied)
		return refusal(REFLECTOR_LOST, again, REFUSAL_PAUSE, "%d %s", status,
			       said->message);
	if (is_gone(status, said->reason))
		return version_gone(asked, paging);
	if (said->resource_version_too_large)
		return refusal(REFLECTOR_LOST, REFLECTOR_LIST_QUORUM,
			       asked == REFLECTOR_WATCH ? REFUSAL_PAUSE : REFUSAL_ONCE_AT_ONCE,
			       "the server is older than our last version");
	if (status == 401) {
		result = refusal(REFLECTOR_LOST, again, REFUSAL_ONCE_AT_ONCE,
				 "401 Unauthorized: the token is not accepted");
		result.unauthorized = true;
		return result;
	}
	if (status == 429)
		return refusal(REFLECTOR_LOST, again, REFUSAL_PAUSE, "429 Too Many Requests");
	if (status >= 500)
		return refusal(REFLECTOR_LOST, again, REFUSAL_PAUSE, "%d %s", status,
			       said->message);
	/* The list that preceded a watch was good. */
	if (asked == REFLECTOR_WATCH)
		return refusal(REFLECTOR_HEARING, REFLECTOR_LIST_NOT_OLDER, REFUSAL_POLL, "%d %s",
			       status, said->message);
	return refusal(denied ? REFLECTOR_DENIED : REFLECTOR_LOST, again, REFUSAL_LONGEST, "%d %s",
		       status, said->message);
}

struct refusal refusal_of_event(const struct kube_status *said)
{
	enum reflector_request next = REFLECTOR_LIST_NOT_OLDER;

	if (said->resource_version_too_large)
		next = REFLECTOR_LIST_QUORUM;
	else if (!is_gone(said->code, said->reason) &&
		 (said->code == 429 || said->code == 503 || said->code == 504))
		next = REFLECTOR_WATCH;
	return refusal(REFLECTOR_LOST, next, REFUSAL_PAUSE, "the watch ended: %d %s %s", said->code,
		       said->reason, said->message);
}
