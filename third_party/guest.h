/* Seen by every file of AWS-LC before its own text: the functions that guest.c puts others in the
 * place of. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_THIRD_PARTY_GUEST_H
#define K8SLB_THIRD_PARTY_GUEST_H

#if !defined(__ASSEMBLER__)
/*
 * Weak, they are neither inlined nor called past the linker, which takes guest.c's and leaves out
 * what only they needed. AWS-LC's random generator, for one, keeps a state in memory, clears it
 * when the process exits, under our running thread, and ends the process where it cannot have one.
 * No header is included here: some files choose first what those say.
 */
#if defined(__cplusplus)
extern "C" {
#endif
int RAND_bytes(__UINT8_TYPE__ *out, __SIZE_TYPE__ size) __attribute__((weak));
int RAND_priv_bytes(__UINT8_TYPE__ *out, __SIZE_TYPE__ size) __attribute__((weak));
int RAND_public_bytes(__UINT8_TYPE__ *out, __SIZE_TYPE__ size) __attribute__((weak));
int RAND_pseudo_bytes(__UINT8_TYPE__ *out, __SIZE_TYPE__ size) __attribute__((weak));
int RAND_bytes_with_user_prediction_resistance(__UINT8_TYPE__ *out, __SIZE_TYPE__ size,
					       const __UINT8_TYPE__ extra[32])
	__attribute__((weak));
int PEM_def_callback(char *password, int size, int writing, void *context) __attribute__((weak));
struct bio_st *BIO_new_file(const char *path, const char *mode) __attribute__((weak));
const struct bio_method_st *BIO_s_file(void) __attribute__((weak));
/*
 * Functions that AWS-LC calls where the program defines them: not this copy of it. Hidden, they are
 * sought at the link, and found nowhere.
 */
#define K8SLB_NOWHERE __attribute__((weak, visibility("hidden")))
void *OPENSSL_memory_alloc(__SIZE_TYPE__ size) K8SLB_NOWHERE;
void OPENSSL_memory_free(void *memory) K8SLB_NOWHERE;
__SIZE_TYPE__ OPENSSL_memory_get_size(void *memory) K8SLB_NOWHERE;
void *OPENSSL_memory_realloc(void *memory, __SIZE_TYPE__ size) K8SLB_NOWHERE;
void sdallocx(void *memory, __SIZE_TYPE__ size, int flags) K8SLB_NOWHERE;
void AWS_LC_fips_failure_callback(const char *message) K8SLB_NOWHERE;
#if defined(__cplusplus)
}
#endif
#endif

#endif
