// SPDX-License-Identifier: Apache-2.0
#include "base/libc_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* On the 64-bit machines that we build for, the kernel's struct stat is that of every libc. */
int k8slb_stat(const char *path, struct stat *ret_status)
{
	return (int)syscall(SYS_newfstatat, AT_FDCWD, path, ret_status, 0);
}

int k8slb_fstat(int fd, struct stat *ret_status)
{
	return (int)syscall(SYS_fstat, fd, ret_status);
}

void k8slb_explicit_bzero(void *memory, size_t size)
{
	memset(memory, 0, size);
	/* The compiler must believe that somebody looks. */
	__asm__ volatile("" : : "r"(memory) : "memory");
}

char *k8slb_strerror_r(int number, char *text, size_t size)
{
	(void)text;
	(void)size;
	return strerror(number);
}

FILE *k8slb_no_stdin, *k8slb_no_stdout, *k8slb_no_stderr;

FILE *k8slb_no_fopen(const char *path, const char *mode)
{
	(void)path;
	(void)mode;
	errno = ENOSYS;
	return NULL;
}

int k8slb_no_fclose(FILE *stream)
{
	(void)stream;
	errno = EBADF;
	return EOF;
}

size_t k8slb_no_fread(void *data, size_t size, size_t count, FILE *stream)
{
	(void)data;
	(void)size;
	(void)count;
	(void)stream;
	errno = EBADF;
	return 0;
}

size_t k8slb_no_fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
	(void)data;
	(void)size;
	(void)count;
	(void)stream;
	errno = EBADF;
	return 0;
}

int k8slb_no_fseek(FILE *stream, long offset, int whence)
{
	(void)stream;
	(void)offset;
	(void)whence;
	errno = EBADF;
	return -1;
}

long k8slb_no_ftell(FILE *stream)
{
	(void)stream;
	errno = EBADF;
	return -1;
}

int k8slb_no_fputc(int c, FILE *stream)
{
	(void)c;
	(void)stream;
	errno = EBADF;
	return EOF;
}
