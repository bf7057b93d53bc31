// SPDX-License-Identifier: Apache-2.0
#include "elf_object.h"

#include <string.h>

/* A new entry of a hash table's chain ends where this bit is set. */
#define CHAIN_END 1u

/*
 * glibc writes addresses into the dynamic section in place of the file's offsets, but not where
 * that is read-only.
 */
static const void *table_at(const struct elf_object *object, uintptr_t value)
{
	uintptr_t address = elf_object_has(object, value) ? value : object->base + value;

	return elf_object_has(object, address) ? (const void *)address : NULL;
}

static const ElfW(Dyn) * dynamic_section(const struct elf_object *object)
{
	for (unsigned i = 0; i < object->segment_count; i++) {
		if (object->segments[i].p_type == PT_DYNAMIC)
			return table_at(object, object->base + object->segments[i].p_vaddr);
	}
	return NULL;
}

bool elf_object_info(const void *start, size_t page, struct dl_phdr_info *ret_info)
{
	const ElfW(Ehdr) *header = start;
	const elf_segment *segments;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_phentsize != sizeof(*segments) || header->e_phoff > page ||
	    header->e_phnum > (page - header->e_phoff) / sizeof(*segments))
		return false;
	segments = (const void *)((const char *)start + header->e_phoff);
	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (segments[i].p_type != PT_LOAD)
			continue;
		*ret_info = (struct dl_phdr_info){
			.dlpi_addr = (uintptr_t)start - (segments[i].p_vaddr & ~(page - 1)),
			.dlpi_name = "",
			.dlpi_phdr = segments,
			.dlpi_phnum = header->e_phnum,
		};
		return true;
	}
	return false;
}

struct elf_object elf_object_placed(const struct dl_phdr_info *info)
{
	return (struct elf_object){
		.base = info->dlpi_addr,
		.segments = info->dlpi_phdr,
		.segment_count = info->dlpi_phnum,
	};
}

bool elf_object_read(const struct dl_phdr_info *info, struct elf_object *ret_object)
{
	struct elf_object object = elf_object_placed(info);
	const ElfW(Dyn) *entry = dynamic_section(&object);
	const uint32_t *hash = NULL;
	size_t slot_bytes = 0, word_bytes = 0, relative = 0;

	if (!entry)
		return false;
	for (; entry->d_tag != DT_NULL; entry++) {
		switch (entry->d_tag) {
		case DT_SYMTAB:
			object.symbols = table_at(&object, entry->d_un.d_ptr);
			break;
		case DT_STRTAB:
			object.names = table_at(&object, entry->d_un.d_ptr);
			break;
		case DT_GNU_HASH:
			object.gnu_hash = table_at(&object, entry->d_un.d_ptr);
			break;
		case DT_HASH:
			hash = table_at(&object, entry->d_un.d_ptr);
			break;
		case DT_JMPREL:
			object.slots = table_at(&object, entry->d_un.d_ptr);
			break;
		case DT_PLTRELSZ:
			slot_bytes = entry->d_un.d_val;
			break;
		case DT_PLTREL:
			if (entry->d_un.d_val != DT_RELA)
				return false;
			break;
		case DT_RELA:
			object.words = table_at(&object, entry->d_un.d_ptr);
			break;
		case DT_RELASZ:
			word_bytes = entry->d_un.d_val;
			break;
		case DT_RELACOUNT:
			relative = entry->d_un.d_val;
			break;
		default:
			break;
		}
	}
	if (!object.symbols || !object.names || (!object.gnu_hash && !hash))
		return false;
	if (hash)
		object.symbol_count = hash[1]; /* as many as its chains have links */
	if (object.slots)
		object.slot_count = slot_bytes / sizeof(*object.slots);
	if (object.words && relative <= word_bytes / sizeof(*object.words)) {
		object.words += relative; /* they come first, and name nothing */
		object.word_count = word_bytes / sizeof(*object.words) - relative;
	}
	*ret_object = object;
	return true;
}

static const elf_segment *segment_of(const struct elf_object *object, uintptr_t address)
{
	for (unsigned i = 0; i < object->segment_count; i++) {
		const elf_segment *segment = &object->segments[i];

		if (segment->p_type == PT_LOAD &&
		    address - (object->base + segment->p_vaddr) < segment->p_memsz)
			return segment;
	}
	return NULL;
}

bool elf_object_has(const struct elf_object *object, uintptr_t address)
{
	return segment_of(object, address);
}

bool elf_object_may_write(const struct elf_object *object, uintptr_t address)
{
	const elf_segment *segment = segment_of(object, address);

	return segment && address % sizeof(uintptr_t) == 0 &&
	       segment == segment_of(object, address + sizeof(uintptr_t) - 1) &&
	       (segment->p_flags & PF_W) && !(segment->p_flags & PF_X);
}

/* As glibc's _dl_protect_relro() rounds it: a page that is not the region's alone stays as it is.
 */
void elf_object_sealed(const struct elf_object *object, size_t page, uintptr_t *ret_start,
		       size_t *ret_size)
{
	*ret_start = *ret_size = 0;
	for (unsigned i = 0; i < object->segment_count; i++) {
		uintptr_t start = object->base + object->segments[i].p_vaddr;
		uintptr_t end = start + object->segments[i].p_memsz;

		if (object->segments[i].p_type != PT_GNU_RELRO)
			continue;
		*ret_start = start & ~(page - 1);
		*ret_size = (end & ~(page - 1)) - *ret_start;
	}
}

static bool is_defined(const struct elf_object *object, const elf_symbol *symbol, const char *name)
{
	return symbol->st_shndx != SHN_UNDEF && strcmp(object->names + symbol->st_name, name) == 0;
}

static const elf_symbol *find_in_turn(const struct elf_object *object, const char *name)
{
	for (uint32_t i = 1; i < object->symbol_count; i++) {
		if (is_defined(object, &object->symbols[i], name))
			return &object->symbols[i];
	}
	return NULL;
}

static uint32_t hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* The table of DT_GNU_HASH: four numbers, a filter, a bucket for each remainder of a hash, and the
 * hashes of the symbols of each bucket, in their order. */
const elf_symbol *elf_object_find(const struct elf_object *object, const char *name)
{
	const uint32_t *table = object->gnu_hash;
	const uintptr_t *filter;
	const uint32_t *buckets, *hashes;
	uint32_t hash, first;

	if (!table)
		return find_in_turn(object, name);
	if (!table[0] || !table[2]) /* of some linkers, where nothing is defined */
		return NULL;
	hash = hash_of(name);
	filter = (const uintptr_t *)(const void *)(table + 4);
	if (!(filter[hash / __ELF_NATIVE_CLASS % table[2]] >> hash % __ELF_NATIVE_CLASS & 1))
		return NULL;
	buckets = (const uint32_t *)(const void *)(filter + table[2]);
	hashes = buckets + table[0];
	first = table[1];
	for (uint32_t i = buckets[hash % table[0]]; i >= first; i++) {
		if ((hashes[i - first] | CHAIN_END) == (hash | CHAIN_END) &&
		    is_defined(object, &object->symbols[i], name))
			return &object->symbols[i];
		if (hashes[i - first] & CHAIN_END)
			break;
	}
	return NULL;
}
