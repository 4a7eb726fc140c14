package harness

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy stands between a client and a part, and can make the way bad.
type Proxy struct {
	proxy *toxiproxy.Proxy
	added int
}

// Proxy opens a way to an address, e.g. that of a store in State. It ends with
// the suite.
func (s *Suite) Proxy(upstream string) (*Proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(server, upstream, "127.0.0.1:0", upstream)}
	if err := p.proxy.Start(); err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", upstream, err)
	}
	s.onClose(p.Cut)
	return p, nil
}

// Address to connect to instead.
func (p *Proxy) Address() string { return p.proxy.Listen }

// Spoil adds a toxic: `latency` {"latency": ms}, `bandwidth` {"rate": KB/s},
// `limit_data` {"bytes": n}, `reset_peer` {"timeout": ms}, `timeout` {"timeout": ms}. Stream is
// `upstream` or `downstream`.
func (p *Proxy) Spoil(toxic, stream string, attributes map[string]int) error {
	p.added++
	body, err := json.Marshal(map[string]any{
		"name": fmt.Sprintf("%s-%d", toxic, p.added), "type": toxic, "stream": stream, "toxicity": 1, "attributes": attributes,
	})
	if err != nil {
		return err
	}
	_, err = p.proxy.Toxics.AddToxicJson(strings.NewReader(string(body)))
	return err
}

// Cut closes all connections and takes no more.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Mend takes connections again, at the same address.
func (p *Proxy) Mend() error { return p.proxy.Start() }
