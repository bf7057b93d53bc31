/* Whether a program is Go's, by a note of its file. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_GO_NOTE_H
#define K8SLB_BASE_GO_NOTE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Go's linker writes its build id as a note, with cgo and without, stripped or not
 * (cmd/link/internal/ld/elf.go, ELF_NOTE_GO_NAME and ELF_NOTE_GOBUILDID_TAG). @notes: the @size bytes of
 * a PT_NOTE, or its begin; whatever they hold. No libc but memcpy() and memcmp().
 */
bool go_note_is_in(const void *notes, size_t size);

#endif
