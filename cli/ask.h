/* One question to the API server, and what came of it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_ASK_H
#define K8SLB_CLI_ASK_H

#include <stdbool.h>

#include "base/buffer.h"
#include "config/config.h"

#define ASK_MS	       5000
#define ASK_BODY_LIMIT (256u * 1024)

struct api_answer {
	int status; /* 0: none came */
	int error;  /* http.h's, of one without a status; else 0 */
	char message[512]; /* why none came, or what the server said of an error; one line */
	char date[64];	   /* of the server; "" */
	struct buffer body; /* of status 200 */
};

/*
 * GET @path with the credentials of @config. @status_is_enough: ends when that is known, as for a
 * watch, which has no other end. Returns 0, also without an answer, or -errno when it could not even
 * be asked. Free by api_answer_free().
 */
int ask_api(const struct config *config, const char *path, bool status_is_enough,
	    struct api_answer *ret_answer);

/* Writes ROOT/REST, or ROOT/namespaces/NAMESPACE/REST where that is not "*". */
void ask_path(char *path, size_t size, const char *root, const char *namespace, const char *rest);

void api_answer_free(struct api_answer *answer);

/* The text of the first member of that name in the body, wherever it stands; false: there is none. */
bool api_answer_text(const struct api_answer *answer, const char *member, char *text, size_t size);

#endif
