/* An object as the loader has it in memory: what it refers to by name, and what it defines. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_ELF_OBJECT_H
#define K8SLB_SHIM_ELF_OBJECT_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef ElfW(Sym) elf_symbol;
typedef ElfW(Rela) elf_relocation;
typedef ElfW(Phdr) elf_segment;

/* Points into the object: valid as long as that is loaded. */
struct elf_object {
	uintptr_t base;
	const elf_segment *segments;
	unsigned segment_count;
	const elf_symbol *symbols;
	const char *names;
	const uint32_t *gnu_hash; /* NULL: @symbol_count tells how many there are */
	uint32_t symbol_count;
	const elf_relocation *slots; /* one after the other: functions called by the PLT */
	size_t slot_count;
	const elf_relocation *words; /* all others that refer to a symbol, or may */
	size_t word_count;
};

/* Of the object whose first page is mapped at @start: as dl_iterate_phdr() would tell it, but for its
 * name. False: no object's header is there, or more than that page is needed. */
bool elf_object_info(const void *start, size_t page, struct dl_phdr_info *ret_info);

/* Where it lies, and nothing else of it. */
struct elf_object elf_object_placed(const struct dl_phdr_info *info);

/* False: it has no symbols, or not in the form that x86-64 and arm64 have them. */
bool elf_object_read(const struct dl_phdr_info *info, struct elf_object *ret_object);

/* One of its segments has this address. */
bool elf_object_has(const struct elf_object *object, uintptr_t address);

/* Eight bytes there are the object's own to write, once the loader's protection is taken away, and
 * never code. */
bool elf_object_may_write(const struct elf_object *object, uintptr_t address);

/* What the loader has made read-only when the object was bound; @ret_size 0: nothing. @page: the
 * size of one. */
void elf_object_sealed(const struct elf_object *object, size_t page, uintptr_t *ret_start,
		       size_t *ret_size);

/* The symbol that it defines under this name for others, whatever its version, or NULL. */
const elf_symbol *elf_object_find(const struct elf_object *object, const char *name);

#endif
