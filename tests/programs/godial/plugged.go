// SPDX-License-Identifier: Apache-2.0

//go:build plugged

package main

import (
	"net"
	"os"
	"plugin"
)

// It is a plugin that dials.
func dialNet(address string) (net.Conn, error) {
	plug, err := plugin.Open(os.Getenv("PLUGIN"))
	check(err)
	symbol, err := plug.Lookup("Dial")
	check(err)
	return symbol.(func(string) (net.Conn, error))(address)
}
