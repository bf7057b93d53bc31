// SPDX-License-Identifier: Apache-2.0

// A plugin of godial.
package main

import "net"

func Dial(address string) (net.Conn, error) {
	return net.Dial("tcp", address)
}

func main() {}
