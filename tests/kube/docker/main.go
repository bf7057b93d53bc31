// SPDX-License-Identifier: Apache-2.0

// Prints, as OCI's JSON, the seccomp profile that Docker gives a container of no further rights; containerd's, which
// Kubernetes calls RuntimeDefault, is made from it.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func main() {
	capabilities := []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
	process := &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}}
	profile, err := seccomp.GetDefaultProfile(&specs.Spec{Process: process})
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(profile); err != nil {
		log.Fatal(err)
	}
}
