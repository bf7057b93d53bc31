// SPDX-License-Identifier: Apache-2.0
//
// API servers with good and bad certificates, and the verdict of Go's crypto/tls, which client-go has, on each.
//
// usage: certificates DIR
//
// For each case DIR/N.pem is the CA bundle, and a server listens on a port of 127.0.0.1. One line of JSON each on
// standard output: {"what": its name, "url": ..., "bundle": PATH, "seen": PATH, "go": "" or why Go refuses}. A request
// with a token makes the file "seen", which holds the server name and the protocol that the client asked for. Ends with its
// standard input.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const name = "api.localhost"

var (
	now    = time.Now()
	serial = int64(1000)
	oidBC  = asn1.ObjectIdentifier{2, 5, 29, 19}
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// A certificate with its key; template is what its children take their issuer from.
type node struct {
	der      []byte
	key      crypto.Signer
	template *x509.Certificate
}

type change func(*x509.Certificate)

func p256() crypto.Signer { return ec(elliptic.P256()) }

func ec(curve elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(curve, rand.Reader)) }

func rsaKey(bits int) crypto.Signer { return must(rsa.GenerateKey(rand.Reader, bits)) }

func ed() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

func issue(template *x509.Certificate, key crypto.Signer, issuer *node, changes []change) *node {
	serial++
	template.SerialNumber = big.NewInt(serial)
	template.NotBefore = now.Add(-time.Hour)
	template.NotAfter = now.Add(24 * time.Hour)
	for _, one := range changes {
		one(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.template, issuer.key
	}
	return &node{must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)), key, template}
}

func ca(subject string, key crypto.Signer, issuer *node, changes ...change) *node {
	return issue(&x509.Certificate{
		Subject:               pkix.Name{CommonName: subject},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		SubjectKeyId:          must(x509.MarshalPKIXPublicKey(key.Public()))[8:28],
	}, key, issuer, changes)
}

func leaf(key crypto.Signer, issuer *node, changes ...change) *node {
	return issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key, issuer, changes)
}

func extension(id asn1.ObjectIdentifier, critical bool, value ...byte) change {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

func names(dns ...string) change {
	return func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = dns, nil }
}

func noKeyID(c *x509.Certificate) { c.SubjectKeyId = []byte{} }

var (
	sha1WithRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}
	sha256WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
)

// The same certificate with changed bytes, signed again: what crypto/x509 does not make. The issuer's key is RSA.
func resign(one *node, issuer *node, algorithm asn1.ObjectIdentifier, hash crypto.Hash, old, changed []byte) *node {
	var whole struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	must(asn1.Unmarshal(one.der, &whole))
	if len(changed) != len(old) || !bytes.Contains(whole.TBS.FullBytes, old) {
		panic("nothing to change, or its length")
	}
	tbs := bytes.Replace(whole.TBS.FullBytes, old, changed, 1)
	digest := hash.New()
	digest.Write(tbs)
	signature := must(rsa.SignPKCS1v15(rand.Reader, issuer.key.(*rsa.PrivateKey), hash, digest.Sum(nil)))
	whole.TBS.FullBytes = tbs
	whole.Algorithm.Algorithm = algorithm
	whole.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return &node{must(asn1.Marshal(whole)), one.key, one.template}
}

func withSHA1(one *node, issuer *node) *node {
	return resign(one, issuer, sha1WithRSA, crypto.SHA1, must(asn1.Marshal(sha256WithRSA)), must(asn1.Marshal(sha1WithRSA)))
}

// Serial numbers here have two bytes.
func withNegativeSerial(one *node, issuer *node) *node {
	positive := must(asn1.Marshal(one.template.SerialNumber))
	return resign(one, issuer, sha256WithRSA, crypto.SHA256, positive, []byte{positive[0], positive[1], 0xff, 0x01})
}

func block(one *node) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.der}))
}

type testCase struct {
	what     string
	host     string
	chain    []*node // the server's, leaf first
	bundle   string
	min, max uint16
}

type maker struct{ cases []testCase }

func (m *maker) add(what string, host string, bundle string, chain ...*node) {
	m.cases = append(m.cases, testCase{what: what, host: host, chain: chain, bundle: bundle})
}

// For the host by its address, with one CA.
func (m *maker) ip(what string, root *node, chain ...*node) {
	m.add(what, "127.0.0.1", block(root), chain...)
}

// For the host by its name.
func (m *maker) named(what string, root *node, chain ...*node) {
	m.add(what, name, block(root), chain...)
}

func (m *maker) versions(what string, root *node, min, max uint16, chain ...*node) {
	m.ip(what, root, chain...)
	m.cases[len(m.cases)-1].min, m.cases[len(m.cases)-1].max = min, max
}

func makeCases() []testCase {
	m := &maker{}
	root := ca("kubernetes", p256(), nil)
	key := p256()

	// Names.
	m.ip("IP SAN, asked by address", root, leaf(key, root))
	m.named("DNS SAN, asked by name", root, leaf(key, root))
	m.add("DNS SAN, asked by name with a dot at its end", name+".", block(root), leaf(key, root))
	m.named("common name, no SAN", root, leaf(key, root, names(), func(c *x509.Certificate) { c.Subject.CommonName = name }))
	m.ip("common name that spells the address, no SAN", root,
		leaf(key, root, names(), func(c *x509.Certificate) { c.Subject.CommonName = "127.0.0.1" }))
	m.named("common name, SAN with an e-mail address only", root, leaf(key, root, names(), func(c *x509.Certificate) {
		c.Subject.CommonName = name
		c.EmailAddresses = []string{"root@" + name}
	}))
	m.ip("DNS SAN that spells the address", root, leaf(key, root, names("127.0.0.1")))
	m.named("IP SAN only, asked by name", root, leaf(key, root, func(c *x509.Certificate) { c.DNSNames = nil }))
	m.named("another name", root, leaf(key, root, names("other.localhost")))
	m.add("wildcard for the first label", "api.cluster.localhost", block(root), leaf(key, root, names("*.cluster.localhost")))
	m.add("wildcard for two labels", "a.api.cluster.localhost", block(root), leaf(key, root, names("*.cluster.localhost")))
	m.add("wildcard within a label", "api.cluster.localhost", block(root), leaf(key, root, names("a*.cluster.localhost")))
	m.named("wildcard before the last label", root, leaf(key, root, names("*.localhost")))

	// Name constraints.
	constrained := func(changes ...change) *node { return ca("constrained", p256(), nil, changes...) }
	for _, critical := range []bool{true, false} {
		word := map[bool]string{true: "critical", false: "not critical"}[critical]
		permit := func(domain string) change {
			return func(c *x509.Certificate) {
				c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{domain}, critical
			}
		}
		exclude := func(domain string) change {
			return func(c *x509.Certificate) {
				c.ExcludedDNSDomains, c.PermittedDNSDomainsCritical = []string{domain}, critical
			}
		}
		ranges := func(cidr string) change {
			_, network, err := net.ParseCIDR(cidr)
			must(network, err)
			return func(c *x509.Certificate) {
				c.PermittedIPRanges, c.PermittedDNSDomainsCritical = []*net.IPNet{network}, critical
			}
		}
		inside := constrained(permit("localhost"))
		m.named("name constraints, "+word+": DNS name inside", inside, leaf(key, inside, names(name)))
		outside := constrained(permit("example.com"))
		m.named("name constraints, "+word+": DNS name outside", outside, leaf(key, outside, names(name)))
		excluded := constrained(exclude("localhost"))
		m.named("name constraints, "+word+": DNS name excluded", excluded, leaf(key, excluded, names(name)))
		ipInside := constrained(ranges("127.0.0.0/8"))
		m.ip("name constraints, "+word+": address inside", ipInside, leaf(key, ipInside))
		ipOutside := constrained(ranges("10.0.0.0/8"))
		m.ip("name constraints, "+word+": address outside", ipOutside, leaf(key, ipOutside))
	}

	// Keys and signatures.
	edRoot := ca("ed25519", ed(), nil)
	m.ip("Ed25519 leaf", root, leaf(ed(), root))
	m.ip("Ed25519 CA", edRoot, leaf(key, edRoot))
	m.ip("Ed25519 CA and leaf", edRoot, leaf(ed(), edRoot))
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		own := ca(curve.Params().Name, ec(curve), nil)
		m.ip(curve.Params().Name+" CA and leaf", own, leaf(ec(curve), own))
	}
	rsaRoot := ca("rsa", rsaKey(2048), nil)
	for _, bits := range []int{1024, 2048, 3072, 4096} {
		m.ip(fmt.Sprintf("RSA %d leaf", bits), rsaRoot, leaf(rsaKey(bits), rsaRoot))
	}
	small := ca("small", rsaKey(1024), nil)
	m.ip("RSA 1024 CA", small, leaf(key, small))
	pss := ca("pss", rsaKey(2048), nil, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSAPSS })
	m.ip("RSA-PSS signature", pss, leaf(key, pss, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSAPSS }))
	m.ip("SHA-1 signature of the leaf", rsaRoot, withSHA1(leaf(key, rsaRoot), rsaRoot))
	shaMiddle := ca("middle", rsaKey(2048), rsaRoot)
	m.ip("SHA-1 signature of an intermediate", rsaRoot, leaf(key, shaMiddle), withSHA1(shaMiddle, rsaRoot))
	m.ip("SHA-1 signature of the CA itself", withSHA1(rsaRoot, rsaRoot), leaf(key, rsaRoot))

	// What a certificate may be used for.
	anyPolicy := []byte{0x30, 0x06, 0x30, 0x04, 0x06, 0x02, 0x2a, 0x03}
	m.ip("certificate policies, critical", root, leaf(key, root, extension(asn1.ObjectIdentifier{2, 5, 29, 32}, true, anyPolicy...)))
	explicit := ca("explicit", p256(), root, extension(asn1.ObjectIdentifier{2, 5, 29, 36}, true, 0x30, 0x03, 0x80, 0x01, 0x00))
	m.ip("policy constraints that ask for a policy, none there", root, leaf(key, explicit), explicit)
	m.ip("an unknown critical extension", root, leaf(key, root, extension(asn1.ObjectIdentifier{1, 2, 3, 4}, true, 5, 0)))
	m.ip("an unknown extension twice", root, leaf(key, root, extension(asn1.ObjectIdentifier{1, 2, 3, 4}, false, 5, 0),
		extension(asn1.ObjectIdentifier{1, 2, 3, 4}, false, 5, 0)))
	m.ip("negative serial number", rsaRoot, withNegativeSerial(leaf(key, rsaRoot), rsaRoot))
	m.ip("key usage of the leaf: key encipherment only, EC", root,
		leaf(key, root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }))
	m.ip("key usage of the leaf: key encipherment only, RSA", root,
		leaf(rsaKey(2048), root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }))
	m.ip("no key usage, no extended key usage", root, leaf(key, root, func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = 0, nil }))
	usage := func(usages ...x509.ExtKeyUsage) change { return func(c *x509.Certificate) { c.ExtKeyUsage = usages } }
	m.ip("extended key usage: client only", root, leaf(key, root, usage(x509.ExtKeyUsageClientAuth)))
	m.ip("extended key usage: any", root, leaf(key, root, usage(x509.ExtKeyUsageAny)))
	m.ip("extended key usage: client and server", root, leaf(key, root, usage(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth)))
	clientCA := ca("client", p256(), root, usage(x509.ExtKeyUsageClientAuth))
	m.ip("extended key usage of the intermediate: client only", root, leaf(key, clientCA), clientCA)
	noSign := ca("no sign", p256(), nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	m.ip("key usage of the CA: no certificate signing", noSign, leaf(key, noSign))
	noUsage := ca("no usage", p256(), nil, func(c *x509.Certificate) { c.KeyUsage = 0 })
	m.ip("no key usage of the CA", noUsage, leaf(key, noUsage))

	// Who may issue.
	forger := leaf(p256(), root, extension(oidBC, true, 0x30, 0x03, 0x02, 0x01, 0x01), func(c *x509.Certificate) {
		c.Subject.CommonName = "node"
		c.KeyUsage |= x509.KeyUsageCertSign
	})
	m.ip("forged: issued by a leaf whose basic constraints are SEQUENCE { INTEGER 1 }", root, leaf(key, forger), forger)
	plain := leaf(p256(), root, func(c *x509.Certificate) { c.Subject.CommonName = "node" })
	m.ip("forged: issued by a leaf without basic constraints", root, leaf(key, plain), plain)
	notCA := ca("not a CA", p256(), root, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	m.ip("forged: issued by a leaf with basic constraints: no CA", root, leaf(key, notCA), notCA)
	m.ip("basic constraints of the leaf: SEQUENCE { INTEGER 1 }", root, leaf(key, root, extension(oidBC, true, 0x30, 0x03, 0x02, 0x01, 0x01)))
	m.ip("basic constraints of the leaf: not even DER", root, leaf(key, root, extension(oidBC, true, 0x30, 0x05, 0x01)))
	bare := ca("no basic constraints", p256(), nil, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false })
	m.ip("CA of the bundle without basic constraints", bare, leaf(key, bare))
	short := ca("short", p256(), nil, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	below := ca("below", p256(), short)
	m.ip("path length 0, leaf below", short, leaf(key, short))
	m.ip("path length 0, intermediate below", short, leaf(key, below), below)
	selfIssued := ca("short", p256(), short)
	m.ip("path length 0, intermediate of the same name below", short, leaf(key, selfIssued), selfIssued)

	// Time.
	expired := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-48*time.Hour), now.Add(-time.Hour) }
	future := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(time.Hour), now.Add(48*time.Hour) }
	m.ip("expired leaf", root, leaf(key, root, expired))
	m.ip("leaf of the future", root, leaf(key, root, future))
	old := ca("old", p256(), nil, expired)
	m.ip("expired CA", old, leaf(key, old))
	oldMiddle := ca("old middle", p256(), root, expired)
	m.ip("expired intermediate", root, leaf(key, oldMiddle), oldMiddle)

	// Chains.
	middle := ca("middle", p256(), root)
	second := ca("second", p256(), middle)
	deep := leaf(key, second)
	alone := leaf(key, nil)
	stranger := ca("stranger", p256(), nil)
	m.ip("self-signed leaf, not in the bundle", root, alone)
	m.ip("self-signed leaf, in the bundle", alone, alone)
	issued := leaf(key, root)
	m.ip("the leaf of another CA, itself in the bundle", issued, issued)
	m.ip("a CA that is not in the bundle", stranger, leaf(key, root))
	m.ip("two intermediates", root, deep, second, middle)
	m.ip("two intermediates, in the wrong order", root, deep, middle, second)
	m.ip("two intermediates and one that has no part in it", root, deep, stranger, second, middle)
	m.ip("two intermediates and the CA", root, deep, second, middle, root)
	m.ip("an intermediate is missing", root, deep, second)
	m.add("the missing intermediate is in the bundle", "127.0.0.1", block(root)+block(middle), deep, second)
	m.add("only an intermediate is in the bundle", "127.0.0.1", block(second), deep, second)
	for _, ids := range []bool{true, false} {
		changes := []change{}
		word := "with key ids"
		if !ids {
			changes, word = append(changes, noKeyID), "without key ids"
		}
		first, other := ca("twin", p256(), nil, changes...), ca("twin", p256(), nil, changes...)
		m.add("two CAs of one name, "+word+", the right one first", "127.0.0.1", block(first)+block(other), leaf(key, first))
		m.add("two CAs of one name, "+word+", the right one last", "127.0.0.1", block(first)+block(other), leaf(key, other))
		mixed := ca("mixed", p256(), other, changes...)
		m.add("two CAs of one name, "+word+", below an intermediate", "127.0.0.1", block(first)+block(other), leaf(key, mixed), mixed)
	}

	// The bundle's text.
	good := leaf(key, root)
	text := block(root)
	other := block(stranger)
	m.add("bundle with CRLF", "127.0.0.1", strings.ReplaceAll(other+text, "\n", "\r\n"), good)
	m.add("bundle with comments", "127.0.0.1", "# Subject: CN=stranger\n"+other+"\nIssuer: kubernetes\n=====\n"+text+"# end\n", good)
	m.add("bundle without a line break at its end", "127.0.0.1", strings.TrimSpace(text), good)
	m.add("bundle with the CA twice", "127.0.0.1", text+text, good)
	m.add("bundle with blank lines and spaces at line ends", "127.0.0.1", "\n\n"+strings.ReplaceAll(text, "\n", " \n")+"\n", good)
	broken := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	m.add("bundle with a block that is no certificate, before the CA", "127.0.0.1", broken+text, good)
	m.add("bundle with a block that is no certificate, after the CA", "127.0.0.1", text+broken, good)
	garbled := "-----BEGIN CERTIFICATE-----\n!!!! not base64\n-----END CERTIFICATE-----\n"
	m.add("bundle with a block that is not base64, before the CA", "127.0.0.1", garbled+text, good)
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
	m.add("bundle with a private key", "127.0.0.1", private+text, good)
	m.add("bundle with a block of an unknown kind", "127.0.0.1", strings.ReplaceAll(broken, "CERTIFICATE", "SOMETHING")+text, good)
	m.add("bundle cut off within its second certificate", "127.0.0.1", text+other[:len(other)/2], good)

	// The protocol.
	m.versions("TLS 1.3 only", root, tls.VersionTLS13, tls.VersionTLS13, good)
	m.versions("TLS 1.2 only", root, tls.VersionTLS12, tls.VersionTLS12, good)
	m.versions("TLS 1.2 only, RSA", rsaRoot, tls.VersionTLS12, tls.VersionTLS12, leaf(rsaKey(2048), rsaRoot))
	m.versions("TLS 1.1 only", root, tls.VersionTLS10, tls.VersionTLS11, good)
	return m.cases
}

func (c *testCase) serve(seen string) net.Addr {
	chain := make([][]byte, len(c.chain))
	for i, one := range c.chain {
		chain[i] = one.der
	}
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	server := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: c.chain[0].key}},
			MinVersion:   c.min,
			MaxVersion:   c.max,
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				must(0, os.WriteFile(seen, []byte(r.TLS.ServerName+" "+r.TLS.NegotiatedProtocol), 0o600))
			}
			http.Error(w, "nothing here", http.StatusNotFound)
		}),
	}
	go server.ServeTLS(listener, "", "")
	return listener.Addr()
}

// As client-go asks: rest.Config with CAData.
func (c *testCase) verdict(target *url.URL) string {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.bundle)) {
		return "no certificate in the bundle"
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		Dial:            func(_, _ string) (net.Conn, error) { return dialer.Dial("tcp", "127.0.0.1:"+target.Port()) },
	}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get(target.String())
	if err != nil {
		return err.(*url.Error).Err.Error()
	}
	answer.Body.Close()
	return ""
}

func main() {
	directory := os.Args[1]
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	for i, one := range makeCases() {
		base := filepath.Join(directory, fmt.Sprint(i))
		bundle, seen := base+".pem", base+".seen"
		must(0, os.WriteFile(bundle, []byte(one.bundle), 0o600))
		address := one.serve(seen).(*net.TCPAddr)
		target := &url.URL{Scheme: "https", Host: fmt.Sprintf("%s:%d", one.host, address.Port)}
		err := output.Encode(map[string]string{
			"what": one.what, "url": target.String(), "bundle": bundle, "seen": seen, "go": one.verdict(target),
		})
		must(0, err)
	}
	fmt.Println("{}")
	io.Copy(io.Discard, os.Stdin)
}
