/* Does /etc/hosts name this host? */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_HOSTS_FILE_H
#define K8SLB_SHIM_HOSTS_FILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True when a line of /etc/hosts has @host as its name or an alias (hosts(5); case does not
 * matter): libc answers from there before it asks DNS, and so it must be with us. kubelet writes a
 * Pod's own name and its hostAliases there. Reads at most HOSTS_FILE_LIMIT bytes; no malloc, no
 * stdio, keeps errno. A file that cannot be read names nobody.
 */
bool hosts_file_names(const char *host);

#define HOSTS_FILE_LIMIT (1024 * 1024)

/* The same for a text, fed in pieces: @state is all zero at first. Returns true at the hit. */
struct hosts_scan {
	size_t matched; /* bytes of @host that the word at hand has so far */
	unsigned word;	/* of the line; 0 is the address */
	bool in_word;
	bool mismatched; /* the word at hand is another one */
	bool comment;	 /* up to the end of the line */
};
bool hosts_scan_feed(struct hosts_scan *state, const char *host, const char *text, size_t size);

#endif
