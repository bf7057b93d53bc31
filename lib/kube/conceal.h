/* Makes pieces of a secret in a text unreadable: a server may tell back what it was sent. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_CONCEAL_H
#define K8SLB_KUBE_CONCEAL_H

/* So many bytes in a row, from anywhere in the secret, are no chance. Answers are cut and split, so
 * its begin or end may be missing. */
#define CONCEAL_PIECE 8u

/* Overwrites in @text with '*' all that is a piece of @secret of CONCEAL_PIECE bytes or more; of a
 * shorter secret the whole one. "": nothing. */
void conceal(const char *secret, char *text);

#endif
