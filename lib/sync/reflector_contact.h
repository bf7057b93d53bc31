/* Whether a reflector is in contact with the server, and what it says when that changes. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_REFLECTOR_CONTACT_H
#define K8SLB_SYNC_REFLECTOR_CONTACT_H

#include "sync/reflector.h"

/* The server has answered as it should. */
void reflector_heard(struct reflector *r);

/* Notes a failure; the same one is logged once, not at every try. */
void reflector_trouble(struct reflector *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
