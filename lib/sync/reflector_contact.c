// SPDX-License-Identifier: Apache-2.0
#include "sync/reflector_contact.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void reflector_heard(struct reflector *r)
{
	r->last_heard_ms = r->io->now_ms(r->io->ctx);
	r->contact = REFLECTOR_HEARING;
	if (r->problem[0]) {
		log_info(&r->logger, "%s %s: in contact again", object_kind_name(r->kind),
			 r->collection_path);
		r->problem[0] = '\0';
	}
}

/* Skips a duration, as curl ends its messages: "... after 12 ms", "... after 5001 milliseconds". */
static const char *skip_duration(const char *text)
{
	static const char before[] = "after ";

	if (strncmp(text, before, sizeof(before) - 1) != 0)
		return text;
	text += sizeof(before) - 1;
	return text + strspn(text, "0123456789");
}

/* Whether they differ at most in how long a try lasted: that is never the same. */
static bool same_problem(const char *one, const char *other)
{
	for (;; one++, other++) {
		one = skip_duration(one);
		other = skip_duration(other);
		if (*one != *other)
			return false;
		if (!*one)
			return true;
	}
}

void reflector_trouble(struct reflector *r, const char *format, ...)
{
	char problem[sizeof(r->problem)];
	va_list args;

	va_start(args, format);
	vsnprintf(problem, sizeof(problem), format, args);
	va_end(args);
	r->io->conceal(r->io->ctx, problem);
	r->contact = REFLECTOR_LOST;
	if (same_problem(problem, r->problem))
		return;
	memcpy(r->problem, problem, sizeof(problem));
	log_error(&r->logger, "%s %s: %s%s", object_kind_name(r->kind), r->collection_path, problem,
		  r->synced ? " (the last good state goes on to serve)" : "");
}
