package door

import (
	"fmt"
	"net/netip"
	"strings"
)

// Proxies are the networks whose word about a visitor's address is believed.
type Proxies []netip.Prefix

// ParseProxies reads networks in CIDR notation.
func ParseProxies(networks []string) (Proxies, error) {
	var proxies Proxies
	for _, network := range networks {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return nil, fmt.Errorf("door: trusted proxy %q: %w", network, err)
		}
		proxies = append(proxies, prefix)
	}
	return proxies, nil
}

// Visitor is the address a request came from: the connection's own, or, when
// that is a trusted proxy, the last address before the trusted ones in
// X-Forwarded-For. What stands further left anybody can have written.
func (p Proxies) Visitor(remote, forwarded string) string {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	address := peer.Addr().Unmap()
	hops := strings.Split(forwarded, ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(address); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop.Unmap()
	}
	return address.String()
}

func (p Proxies) trusts(address netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}
