module k8slb.test/docker

go 1.26.0

require github.com/moby/profiles/seccomp v0.1.0

require (
	github.com/opencontainers/runtime-spec v1.2.1
	golang.org/x/sys v0.33.0 // indirect
)
