// SPDX-License-Identifier: Apache-2.0

// A Kubernetes control plane in one program, for the tests. The first argument chooses the command; what follows are the
// flags of that command, except for apiserver, whose own come first:
//
//	k8slb-controlplane apiserver --etcd-data=DIR --etcd-port=N --etcd-peer-port=N --make-key=FILE -- [kube-apiserver flags]
//	k8slb-controlplane controller-manager [kube-controller-manager flags]
//	k8slb-controlplane proxy [kube-proxy flags]
//	k8slb-controlplane kubectl [arguments]
//	k8slb-controlplane conform: which endpoints kube-proxy would use (conform.go), a case a line
//	k8slb-controlplane version
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

const etcdStartTimeout = 30 * time.Second

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	command := os.Args[1]
	// The components read os.Args through their cobra commands.
	os.Args = append(os.Args[:1:1], os.Args[2:]...)

	var component *cobra.Command
	switch command {
	case "apiserver":
		if err := prepareAPIServer(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		component = apiserver.NewAPIServerCommand()
	case "controller-manager":
		component = controllermanager.NewControllerManagerCommand()
	case "proxy":
		component = proxy.NewProxyCommand()
	case "kubectl":
		component = cmd.NewDefaultKubectlCommand()
	case "conform":
		runConform()
		return
	case "version":
		printVersion()
		return
	default:
		usage()
	}
	os.Exit(cli.Run(component))
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: k8slb-controlplane apiserver|controller-manager|proxy|kubectl|conform|version [flags]")
	os.Exit(2)
}

// prepareAPIServer takes its own flags off os.Args, makes the ServiceAccount key and starts etcd in this process.
func prepareAPIServer() error {
	flags := flag.NewFlagSet("apiserver", flag.ExitOnError)
	data := flags.String("etcd-data", "", "directory of etcd's data, kept between starts")
	clientPort := flags.Int("etcd-port", 0, "etcd's client port on 127.0.0.1")
	peerPort := flags.Int("etcd-peer-port", 0, "etcd's peer port on 127.0.0.1")
	key := flags.String("make-key", "", "private key that signs ServiceAccount tokens, made if it is missing")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	os.Args = append(os.Args[:1:1], flags.Args()...)
	if err := makeKey(*key); err != nil {
		return fmt.Errorf("make-key: %w", err)
	}
	if err := startEtcd(*data, *clientPort, *peerPort); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}

func makeKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// startEtcd returns once etcd serves.
func startEtcd(data string, clientPort, peerPort int) error {
	client := url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", clientPort)}
	peer := url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", peerPort)}
	config := embed.NewConfig()
	config.Dir = data
	config.ListenClientUrls = []url.URL{client}
	config.AdvertiseClientUrls = []url.URL{client}
	config.ListenPeerUrls = []url.URL{peer}
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true // the data lives as long as one run of the tests
	config.LogLevel = "error"

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return nil
	case err := <-etcd.Err():
		return err
	case <-time.After(etcdStartTimeout):
		etcd.Close()
		return fmt.Errorf("not ready after %v", etcdStartTimeout)
	}
}

func printVersion() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		fmt.Println("unknown")
		return
	}
	for _, module := range info.Deps {
		if module.Path == "k8s.io/kubernetes" || module.Path == "go.etcd.io/etcd/server/v3" {
			fmt.Println(module.Path, module.Version)
		}
	}
}
