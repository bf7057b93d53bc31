// SPDX-License-Identifier: Apache-2.0
/*
 * open_shim HOST PORT LIBRARY ROUNDS: opens the library, connects by its connect(), closes it again
 * and goes on, so many times; then connects by its own, and leaves through exit().
 */
#include <dlfcn.h>

#include "pods.h"

typedef int connect_call(int fd, const struct sockaddr *address, socklen_t size);

static void ask_by(connect_call *call, const struct sockaddr_in *vip, const char *tag)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[64];
	ssize_t size = -1;

	if (call(fd, (const struct sockaddr *)vip, sizeof(*vip)) == 0 && write(fd, "WHO\n", 4) == 4)
		size = read(fd, name, sizeof(name) - 1);
	name[size > 0 ? size : 0] = '\0';
	pods_say(tag, size > 0 ? name : strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in vip;

	if (argc != 5)
		return 2;
	vip = pods_address(argv[1], argv[2]);
	for (int round = atoi(argv[4]); round > 0; round--) {
		void *library = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);
		union {
			void *object;
			connect_call *call;
		} hook = {library ? dlsym(library, "connect") : NULL};

		if (!hook.object) {
			pods_say("error", dlerror());
			return 1;
		}
		for (int i = 0; i < 3; i++)
			ask_by(hook.call, &vip, "opened");
		if (dlclose(library) != 0)
			pods_say("error", dlerror());
	}
	for (int i = 0; i < 3; i++)
		ask_by(connect, &vip, "own");
	return 0;
}
