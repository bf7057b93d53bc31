/* The forms that a setting's value may have, and the message when it has another one. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CONFIG_VALUES_H
#define K8SLB_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where messages go. @report may be NULL. */
struct value_reporter {
	void (*report)(void *ctx, const char *message);
	void *ctx;
};

enum value_shown {
	VALUE_SHOWN,
	VALUE_SHOWN_AS_URL,  /* without what follows "?" or "#": a query may hold a token */
	VALUE_MAY_BE_SECRET, /* not at all when it is no path and long enough for a token */
};

/*
 * Reports `VARIABLE="value": expected EXPECTED`. The value is cut at 80 bytes, what cannot be
 * printed is shown as "?", and everything before an "@" is left out: a URL may hold a password
 * there.
 */
void value_wrong(const struct value_reporter *reporter, const char *variable, const char *value,
		 enum value_shown shown, const char *expected);

/* As value_wrong() for one entry of a list: `VARIABLE entry "value": ...`, shown whole. */
void value_wrong_entry(const struct value_reporter *reporter, const char *variable,
		       const char *entry, size_t length, const char *reason);

/* Decimal digits and nothing else, within @min and @max. */
bool value_number(const char *text, uint32_t min, uint32_t max, uint32_t *ret_number);

/* Index of @text in the NULL-terminated @names, or -1. Case matters. */
int value_choice(const char *text, const char *const *names);

bool value_absolute_path(const char *text);

/* http:// or https://, a host, perhaps a port and a path; no user, query or fragment. */
bool value_url(const char *text);

/* 1 to @longest of A-Z, a-z, 0-9, "-", "_" and ".": names of Nodes and zones. */
bool value_object_name(const char *text, size_t longest);

/*
 * The next entry of a list separated by commas and white space: moves *@ret_entry to it and gives
 * its length, 0 at the end. Start with *@ret_entry at the text and @length 0.
 */
size_t value_next_entry(const char **ret_entry, size_t length);

#endif
