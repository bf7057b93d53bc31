// SPDX-License-Identifier: Apache-2.0
#include "kube/conceal.h"

#include <string.h>

void conceal(const char *secret, char *text)
{
	size_t size = strlen(secret);
	size_t length = strlen(text);
	size_t piece = size < CONCEAL_PIECE ? size : CONCEAL_PIECE;
	size_t start = 0;
	size_t end = 0; /* text[start..end) is to be overwritten, when no piece can overlap it */

	if (!size)
		return;
	for (size_t at = 0; at + piece <= length; at++) {
		if (at >= end) {
			memset(text + start, '*', end - start);
			start = end = at;
		}
		if (memmem(secret, size, text + at, piece))
			end = at + piece;
	}
	memset(text + start, '*', end - start);
}
