// SPDX-License-Identifier: Apache-2.0

package main

// #include <unistd.h>
import "C"

// Linked with libc, so that the loader and what it preloads are there. It is left out of a build without cgo.
func init() {
	C.getppid()
}
