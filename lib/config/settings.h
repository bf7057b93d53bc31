/* The table of settings: all that is known of one stands in its row. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CONFIG_SETTINGS_H
#define K8SLB_CONFIG_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

/* What a value may be and which field of struct config takes it. */
enum setting_kind {
	SETTING_SERVICES,    /* a list that config_parse() takes apart, entry by entry */
	SETTING_PROGRAMS,    /* the same of program names: any text is right */
	SETTING_NUMBER,	     /* uint32_t: @least to @most, times @factor; none: UINT32_MAX */
	SETTING_CHOICE,	     /* an enum: the place in @choices */
	SETTING_PATH,	     /* const char *: an absolute path */
	SETTING_SECRET_PATH, /* the same; where a secret stands in its place it is not shown */
	SETTING_OBJECT_NAME, /* const char *: at most @most characters */
	SETTING_NAMESPACE,   /* char[DNS_LABEL_SIZE] */
	SETTING_API,	     /* api_url or api_file */
	SETTING_LOG,	     /* log_level by @choices, and log_path */
};

/* What a setting is for. Who looks at those of one part looks at all before it, too. */
enum setting_part {
	SETTING_SAYS_WHAT,  /* which Services, seen from where */
	SETTING_SAYS_WHERE, /* and from which API server */
	SETTING_SAYS_WHEN,  /* how the writer of a table keeps it in sync; so far the agent's */
	SETTING_OF_PROGRAM, /* what steers the library in one program */
};

/* Texts are Markdown with nothing but `code` in it; setting_plain() makes plain ones of them. */
struct config_setting {
	const char *name;
	enum setting_part part;
	const char *default_value; /* as one would set it; "": there is none */
	const char *default_words; /* shown in its place; NULL: the value says all */
	const char *meaning;	   /* one line */
	enum setting_kind kind;
	const char *const *choices;
	uint32_t least, most;
	uint32_t factor;
	size_t at; /* of the field in struct config */
};

/* At least as many as there are rows, for arrays with a place for each. */
#define SETTINGS_MAX 32

/* Ends with a NULL name. */
extern const struct config_setting config_settings[];

/* The row of this name, or NULL. */
const struct config_setting *config_setting(const char *name);

/* Longest text of the functions below, with its NUL. */
#define SETTING_TEXT_SIZE 256

/* What is expected of a value: "0 to 60000", "`vip` or `endpoint`". */
void setting_expected(const struct config_setting *setting, char text[SETTING_TEXT_SIZE]);

/* What counts when nothing is set: "`2000`", "the Pod's own, else `default`". */
void setting_default(const struct config_setting *setting, char text[SETTING_TEXT_SIZE]);

/* The name as an option of a command, without dashes before it: "token-file". */
void setting_option(const struct config_setting *setting, char text[SETTING_TEXT_SIZE]);

/* Takes the marks of code out, in place. */
void setting_plain(char *text);

#endif
