/* Who we are to the API server: token, CA and client certificate, read again as they rotate. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_CREDENTIALS_H
#define K8SLB_KUBE_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct credentials;

/* Paths are copied; NULL or "" where there is none. */
struct credentials_options {
	const char *token_file;
	const char *ca_file;
	const char *cert_file; /* with @key_file: a client certificate, PEM */
	const char *key_file;
};

/*
 * client-go reads a service account token again after 50 s (transport/token_source.go: 60 s less
 * 10 s of leeway) and the CA after 5 min (ca_rotation.go).
 */
#define CREDENTIALS_TOKEN_MAX_AGE_MS (50 * 1000)
#define CREDENTIALS_CA_MAX_AGE_MS    (5 * 60 * 1000)
/* Longest token or PEM file, bytes. A token is about 1 KiB, a CA bundle may be some hundred. */
#define CREDENTIALS_FILE_LIMIT (1024 * 1024)

/* Reads nothing yet. Returns 0 or -ENOMEM. */
int credentials_new(const struct credentials_options *options,
		    struct credentials **ret_credentials);

/*
 * The bearer token, surrounding white space trimmed; NULL when there is none. Read again through
 * the path when older than CREDENTIALS_TOKEN_MAX_AGE_MS at @now_ms (monotonic) or after
 * credentials_forget_token(); when that fails, the old one goes on to serve. A file that holds
 * anything but visible ASCII characters between white space, or nothing, counts as unreadable. So
 * does a PEM file below without a "-----BEGIN" and an "-----END". The pointer lives until the next
 * call.
 */
const char *credentials_token(struct credentials *credentials, uint64_t now_ms);

/* Overwrites in @text with '*' the pieces of the token and of the one before it (kube/conceal.h),
 * of which requests may still be under way; reads no file. */
void credentials_conceal(const struct credentials *credentials, char *text);

/* The server said 401: the next credentials_token() reads the file again. */
void credentials_forget_token(struct credentials *credentials);

/*
 * CA bundle, client certificate and key as PEM text; NULL when none is configured. Read again
 * when older than CREDENTIALS_CA_MAX_AGE_MS; the old text goes on to serve when that fails.
 * On return @ret_size is the length. The pointer lives until the next call of the same function.
 */
const char *credentials_ca(struct credentials *credentials, uint64_t now_ms, size_t *ret_size);
const char *credentials_cert(struct credentials *credentials, uint64_t now_ms, size_t *ret_size);
const char *credentials_key(struct credentials *credentials, uint64_t now_ms, size_t *ret_size);

/* Something that was asked for is missing for want of memory, and not because it is not there: a
 * request without it would be another one, and the answer to that is no answer to ours. */
bool credentials_lack_memory(const struct credentials *credentials);

/* What is configured but could not be read when it was asked for last: "CA file /x: No such file or
 * directory"; "" when all is well. The pointer lives until the next call of any function here.
 * Names paths, no content. */
const char *credentials_problem(const struct credentials *credentials);

/* Overwrites the secrets and frees. Takes NULL. */
void credentials_free(struct credentials *credentials);

#endif
