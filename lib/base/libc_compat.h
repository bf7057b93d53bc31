/* What the oldest libc that we run with lacks, and what our static parts must not find in any. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_LIBC_COMPAT_H
#define K8SLB_BASE_LIBC_COMPAT_H

#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/*
 * stat(2) and fstat(2): glibc has functions of these names since 2.33 only, older ones have others
 * that no newer header can ask for.
 */
int k8slb_stat(const char *path, struct stat *ret_status);
int k8slb_fstat(int fd, struct stat *ret_status);

/* explicit_bzero(3), in glibc since 2.25; for curl and AWS-LC (third_party/redefine.syms). */
void k8slb_explicit_bzero(void *memory, size_t size);

/* getrandom(2), in glibc since 2.25; for c-ares, which asks again and again, but for ENOSYS: so
 * that is any error, but EINTR. */
ssize_t k8slb_getrandom(void *data, size_t size, unsigned flags);

/* strerror_r(3) as glibc has it, for curl: musl's function of that name returns an int. */
char *k8slb_strerror_r(int number, char *text, size_t size);

/*
 * gmtime_r(3), for curl and AWS-LC: libc's takes the lock of the time zone, which a fork() of the
 * program would leave taken in the child, and reads the environment, against the program's
 * setenv(). NULL before the year 1970.
 */
struct tm *k8slb_gmtime_r(const time_t *time, struct tm *ret_time);

/*
 * curl's and c-ares' calls of stdio become these (third_party/redefine.syms). They make them for
 * features that we do not use, but the references are there: buffered streams and the program's
 * stdin, stdout and stderr stay out of reach. Each does nothing and fails as its original does.
 */
extern FILE *k8slb_no_stdin, *k8slb_no_stdout, *k8slb_no_stderr;
FILE *k8slb_no_fopen(const char *path, const char *mode);
int k8slb_no_fclose(FILE *stream);
size_t k8slb_no_fread(void *data, size_t size, size_t count, FILE *stream);
size_t k8slb_no_fwrite(const void *data, size_t size, size_t count, FILE *stream);
int k8slb_no_fseek(FILE *stream, long offset, int whence);
long k8slb_no_ftell(FILE *stream);
int k8slb_no_fputc(int c, FILE *stream);
int k8slb_no_fprintf(FILE *stream, const char *format, ...);
int k8slb_no_setvbuf(FILE *stream, char *memory, int mode, size_t size);

/* getservbyname(3), getservbyport(3), for c-ares: libc may load a module for them. Always NULL. */
struct servent *k8slb_no_getservbyname(const char *name, const char *protocol);
struct servent *k8slb_no_getservbyport(int port, const char *protocol);

/* rand(3), srand(3), for c-ares where getrandom(2) is refused: the sequence of libc's is the
 * program's. Of the clock. */
int k8slb_no_rand(void);
void k8slb_no_srand(unsigned seed);

/* getenv(3), for all of them: the environment is the program's. Always NULL. */
char *k8slb_no_getenv(const char *name);

/*
 * abort(3), for AWS-LC, which calls it when it finds itself in a state that cannot be: the thread
 * rests for ever, and the program, which balances on by its last table, is not ended.
 */
void k8slb_no_abort(void) __attribute__((noreturn));

#endif
