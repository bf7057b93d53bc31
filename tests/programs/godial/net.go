// SPDX-License-Identifier: Apache-2.0

//go:build !plugged

package main

import "net"

func dialNet(address string) (net.Conn, error) {
	return net.Dial("tcp", address)
}
