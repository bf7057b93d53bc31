/* What follows from a refusal: which request comes next, and when. No state, no clock. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_REFLECTOR_REFUSAL_H
#define K8SLB_SYNC_REFLECTOR_REFUSAL_H

#include "sync/reflector.h"

enum refusal_wait {
	REFUSAL_ONCE_AT_ONCE, /* a second try is worth it; from then on as PAUSE */
	REFUSAL_PAUSE,	      /* by the backoff, or as long as the server says */
	REFUSAL_LONGEST,      /* only a person can mend that */
	REFUSAL_POLL,	      /* lists are allowed and watches are not: no problem */
};

struct refusal {
	enum reflector_request next;
	enum refusal_wait wait;
	enum reflector_contact contact;
	bool unauthorized; /* the token is to be read again */
	char problem[256]; /* for people */
};

/* @asked was answered with an HTTP @status other than 200, whose body said @said. @paging: it was
 * for a further page. */
struct refusal refusal_of_answer(enum reflector_request asked, bool paging, int status,
				 const struct kube_status *said);

/* A watch was ended by an ERROR event with @said. */
struct refusal refusal_of_event(const struct kube_status *said);

/* The same request again, or the whole list where a probe has failed: that is right whatever has
 * happened. */
enum reflector_request refusal_again(enum reflector_request asked);

#endif
