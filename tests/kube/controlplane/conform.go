// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/kubernetes/pkg/proxy"
	"k8s.io/kubernetes/pkg/proxy/apis"
)

// conformCase is one line of standard input: what `kubectl get services,endpointslices -A -o json` told, and the node
// that kube-proxy runs on.
type conformCase struct {
	Dump struct {
		Items []json.RawMessage `json:"items"`
	} `json:"dump"`
	Node string `json:"node"`
	Zone string `json:"zone"`
}

// conformPort is what kube-proxy would do with one Service port in one family.
type conformPort struct {
	Namespace string   `json:"namespace"`
	Service   string   `json:"service"`
	Name      string   `json:"name"`
	Protocol  string   `json:"protocol"`
	Family    string   `json:"family"`
	VIP       string   `json:"vip"`
	Number    int      `json:"number"`
	Affinity  int      `json:"affinity"` // seconds; 0: none
	Endpoints []string `json:"endpoints"`
	Used      []string `json:"used"` // by connections to the VIP
}

// conform answers each case with a line: the list of all Service ports, by kube-proxy's own code.
func conform(input io.Reader, output io.Writer) error {
	reader := json.NewDecoder(bufio.NewReaderSize(input, 1<<20))
	writer := json.NewEncoder(output)
	for {
		var next conformCase
		if err := reader.Decode(&next); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		answer := []conformPort{}
		for _, family := range []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol} {
			ports, err := conformFamily(&next, family)
			if err != nil {
				return err
			}
			answer = append(answer, ports...)
		}
		if err := writer.Encode(answer); err != nil {
			return err
		}
	}
}

func conformFamily(next *conformCase, family v1.IPFamily) ([]conformPort, error) {
	services := proxy.NewServiceChangeTracker(family, nil, nil)
	slices := proxy.NewEndpointsChangeTracker(family, next.Node, nil, nil)
	for _, item := range next.Dump.Items {
		if err := conformItem(item, services, slices); err != nil {
			return nil, err
		}
	}
	servicePorts := proxy.ServicePortMap{}
	servicePorts.Update(services)
	endpoints := proxy.EndpointsMap{}
	endpoints.Update(slices)

	labels := map[string]string{}
	if next.Zone != "" {
		labels[v1.LabelTopologyZone] = next.Zone
	}
	var ports []conformPort
	for name, port := range servicePorts {
		all := endpoints[name]
		cluster, local, _, _ := proxy.CategorizeEndpoints(all, port, next.Node, labels)
		used := cluster
		if port.InternalPolicyLocal() {
			used = local
		}
		affinity := 0
		if port.SessionAffinityType() == v1.ServiceAffinityClientIP {
			affinity = port.StickyMaxAgeSeconds()
		}
		ports = append(ports, conformPort{
			Namespace: name.Namespace,
			Service:   name.Name,
			Name:      name.Port,
			Protocol:  string(name.Protocol),
			Family:    string(family),
			VIP:       port.ClusterIP().String(),
			Number:    port.Port(),
			Affinity:  affinity,
			Endpoints: conformAddresses(all),
			Used:      conformAddresses(used),
		})
	}
	return ports, nil
}

// conformItem hands one object to the trackers, unless the informers of cmd/kube-proxy/app/server.go filter it out.
func conformItem(item json.RawMessage, services *proxy.ServiceChangeTracker, slices *proxy.EndpointsChangeTracker) error {
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(item, &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "Service":
		service := &v1.Service{}
		if err := json.Unmarshal(item, service); err != nil {
			return err
		}
		if _, other := service.Labels[apis.LabelServiceProxyName]; !other {
			services.Update(nil, service)
		}
	case "EndpointSlice":
		slice := &discovery.EndpointSlice{}
		if err := json.Unmarshal(item, slice); err != nil {
			return err
		}
		if _, headless := slice.Labels[v1.IsHeadlessService]; !headless {
			slices.EndpointSliceUpdate(slice, false)
		}
	default:
		return fmt.Errorf("kind %q", kind.Kind)
	}
	return nil
}

func conformAddresses(endpoints []proxy.Endpoint) []string {
	addresses := []string{}
	for _, endpoint := range endpoints {
		addresses = append(addresses, endpoint.String())
	}
	sort.Strings(addresses)
	return addresses
}

func runConform() {
	if err := conform(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conform:", err)
		os.Exit(1)
	}
}
