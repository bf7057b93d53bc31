// SPDX-License-Identifier: Apache-2.0

// Helm's own command, as its releases have it: built from its module for the tests of deploy/chart, and for deploy/render.
package main

import (
	"errors"
	"fmt"
	"os"

	helm "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
)

func main() {
	kube.ManagedFieldsManager = "helm"
	command, err := helm.NewRootCmd(os.Stdout, os.Args[1:], helm.SetupLogging)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := command.Execute(); err != nil {
		if told, ok := errors.AsType[helm.CommandError](err); ok {
			os.Exit(told.ExitCode)
		}
		os.Exit(1)
	}
}
