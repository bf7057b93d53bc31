/* The parts of an ELF file that tell what kind of program it is. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_PROGRAM_ELF_H
#define K8SLB_CLI_PROGRAM_ELF_H

#include "program.h"

/* Fills what struct program says of an ELF file; leaves all as it is for another one. The file may
 * be anybody's: what lies outside of it is not there. */
void program_read_elf(int fd, struct program *program);

#endif
