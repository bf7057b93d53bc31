/* Answers of the gethostbyname(3) family out of the table. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_HOSTENT_H
#define K8SLB_SHIM_HOSTENT_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * For gethostbyname() and gethostbyname2(): false when libc is to answer. Else *@ret_host points
 * into memory that the next such call overwrites, as POSIX allows, or is NULL with h_errno set.
 * @family: AF_INET or AF_INET6; libc answers for any other.
 */
bool hostent_lookup(const char *name, int family, struct hostent **ret_host);

/* For the _r forms; *@ret_rc is what they return: 0, or ERANGE when @buffer is too small. */
bool hostent_lookup_r(const char *name, int family, struct hostent *host, char *buffer, size_t size,
		      struct hostent **ret_host, int *ret_h_errno, int *ret_rc);

#endif
