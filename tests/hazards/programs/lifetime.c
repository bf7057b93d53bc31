// SPDX-License-Identifier: Apache-2.0
/*
 * lifetime VIP PORT POINT[,POINT...]: connects at these points of its life, and prints for each
 * "POINT POD". before main      preinit (.preinit_array: no library is initialised yet, libc
 * neither), init (.init_array) main, thread     three connections each, so that their balance is
 * seen end of a thread  key (destructor of pthread_key_create), cxa_thread (as of a C++
 * thread_local object) end of main      atexit, on_exit, fini (.fini_array), key_main,
 * cxa_thread_main
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dial.h"

/* What C++ compilers register destructors with; libstdc++ and libc both have it. */
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso_symbol);
extern void *__dso_handle;

static struct sockaddr_in vip;
static const char *points = "";
static pthread_key_t key;

static bool asked(const char *point)
{
	size_t size = strlen(point);

	for (const char *at = points; (at = strstr(at, point)); at += size) {
		if ((at == points || at[-1] == ',') && (at[size] == ',' || at[size] == '\0'))
			return true;
	}
	return false;
}

static void at(const char *point, int count)
{
	for (int i = 0; i < count && asked(point); i++)
		dial_and_tell(point, &vip);
}

static void read_arguments(int argc, char **argv)
{
	if (argc < 4)
		_exit(2);
	vip = dial_address(argv[1], argv[2]);
	points = argv[3];
}

static void at_preinit(int argc, char **argv, char **envp)
{
	(void)envp;
	read_arguments(argc, argv);
	at("preinit", 1);
}

static void at_init(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	at("init", 1);
}

static void at_fini(void)
{
	at("fini", 1);
}

static void at_exit(void)
{
	at("atexit", 1);
}

static void at_on_exit(int status, void *unused)
{
	(void)status;
	(void)unused;
	at("on_exit", 1);
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char **,
									char **) = at_preinit;
__attribute__((section(".init_array"), used)) static void (*init)(int, char **, char **) = at_init;
__attribute__((section(".fini_array"), used)) static void (*fini)(void) = at_fini;

static void end_of_key(void *point)
{
	at(point, 1);
}

static void end_of_object(void *point)
{
	at(point, 1);
}

static void register_ends(char *of_key, char *of_object)
{
	pthread_setspecific(key, of_key);
	if (asked(of_object))
		__cxa_thread_atexit_impl(end_of_object, of_object, &__dso_handle);
}

static void *run_thread(void *unused)
{
	static char of_key[] = "key";
	static char of_object[] = "cxa_thread";

	register_ends(of_key, of_object);
	at("thread", 3);
	return unused;
}

int main(void)
{
	static char of_key[] = "key_main";
	static char of_object[] = "cxa_thread_main";
	pthread_t thread;

	atexit(at_exit);
	on_exit(at_on_exit, NULL);
	pthread_key_create(&key, end_of_key);
	if (asked("thread") || asked("key") || asked("cxa_thread")) {
		pthread_create(&thread, NULL, run_thread, NULL);
		pthread_join(thread, NULL);
	}
	register_ends(of_key, of_object);
	at("main", 3);
	if (asked("key_main"))
		pthread_exit(NULL); /* exit() runs no destructors of keys */
	return 0;
}
