// SPDX-License-Identifier: Apache-2.0
#include "program_elf.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/go_note.h"
#include "base/read_file.h"

/* More than any linker makes. */
#define MOST_HEADERS 256
#define NOTE_SIZE    4096

/* Of both classes, what is needed of a program header. */
struct part {
	uint32_t type;
	uint64_t offset;
	uint64_t size;
};

static bool read_at(int fd, void *data, size_t size, uint64_t offset)
{
	return pread(fd, data, size, (off_t)offset) == (ssize_t)size;
}

static bool read_part(int fd, bool is_64, uint64_t at, struct part *ret_part)
{
	Elf64_Phdr wide;
	Elf32_Phdr narrow;

	if (is_64) {
		if (!read_at(fd, &wide, sizeof(wide), at))
			return false;
		*ret_part = (struct part){wide.p_type, wide.p_offset, wide.p_filesz};
		return true;
	}
	if (!read_at(fd, &narrow, sizeof(narrow), at))
		return false;
	*ret_part = (struct part){narrow.p_type, narrow.p_offset, narrow.p_filesz};
	return true;
}

static void take_part(int fd, const struct part *part, struct program *program)
{
	unsigned char notes[NOTE_SIZE];
	size_t size = part->size < sizeof(notes) ? (size_t)part->size : sizeof(notes);

	if (part->type == PT_INTERP && part->size < sizeof(program->loader)) {
		if (read_at(fd, program->loader, (size_t)part->size, part->offset))
			program->loader[part->size] = '\0';
		else
			program->loader[0] = '\0';
	} else if (part->type == PT_NOTE && read_at(fd, notes, size, part->offset)) {
		program->is_go |= go_note_is_in(notes, size);
	}
}

/* The headers of both classes begin alike, up to the entry point. */
static bool read_start(int fd, Elf64_Ehdr *header)
{
	return read_at(fd, header, sizeof(Elf32_Ehdr), 0) &&
	       memcmp(header->e_ident, ELFMAG, SELFMAG) == 0;
}

void program_read_elf(int fd, struct program *program)
{
	Elf64_Ehdr header;
	Elf32_Ehdr narrow;
	bool is_64;
	uint64_t at;
	unsigned count, size;

	if (!read_start(fd, &header))
		return;
	is_64 = header.e_ident[EI_CLASS] == ELFCLASS64;
	program->is_elf = true;
	program->machine = header.e_machine;
	program->bits = is_64 ? 64 : 32;
	if (is_64 ? !read_at(fd, &header, sizeof(header), 0)
		  : !read_at(fd, &narrow, sizeof(narrow), 0))
		return;
	at = is_64 ? header.e_phoff : narrow.e_phoff;
	count = is_64 ? header.e_phnum : narrow.e_phnum;
	size = is_64 ? header.e_phentsize : narrow.e_phentsize;
	for (unsigned i = 0; i < count && i < MOST_HEADERS; i++) {
		struct part part;

		if (read_part(fd, is_64, at + (uint64_t)i * size, &part))
			take_part(fd, &part, program);
	}
}

int program_machine_of(const char *path, uint16_t *ret_machine, uint8_t *ret_bits)
{
	Elf64_Ehdr header;
	int fd = file_open(path);
	bool is_elf;

	if (fd < 0)
		return fd;
	is_elf = read_start(fd, &header);
	close(fd);
	if (!is_elf)
		return -ENOEXEC;
	*ret_machine = header.e_machine;
	*ret_bits = header.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32;
	return 0;
}

const char *program_machine_name(uint16_t machine)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} names[] = {
		{EM_X86_64, "x86_64"},	 {EM_386, "i386"},   {EM_AARCH64, "aarch64"},
		{EM_ARM, "arm"},	 {EM_PPC64, "ppc64"}, {EM_S390, "s390x"},
		{EM_RISCV, "riscv"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].machine == machine)
			return names[i].name;
	}
	return "an unknown machine";
}

const char *program_libc(const struct program *program)
{
	if (!program->loader[0])
		return "none";
	if (strstr(program->loader, "/ld-musl-"))
		return "musl";
	return strstr(program->loader, "/ld-linux") || strstr(program->loader, "/ld64.so") ||
			       strstr(program->loader, "/ld.so")
		       ? "glibc"
		       : "an unknown libc";
}
