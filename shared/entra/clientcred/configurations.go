package clientcred

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fhirlink/shared/flight"
)

const (
	configurationPath = "/v2.0/.well-known/openid-configuration"

	// configurationFor is how long an openid-configuration is remembered. Entra's own sign-in
	// libraries keep it for a day too.
	configurationFor = 24 * time.Hour
	// configurationRenewal is the age at which it is fetched again, aside from the requests that
	// need it. configurationPause is how long nothing is tried after that has failed.
	configurationRenewal = 12 * time.Hour
	configurationPause   = 5 * time.Minute
	// maxConfigurations bounds how many are remembered, one for each authority and tenant. Each takes
	// about 500 bytes, because only what azidentity needs of it is kept.
	maxConfigurations = 10_000
)

// configuration is what azidentity needs of an openid-configuration
// (https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata).
type configuration struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
}

// configurations remembers openid-configurations by their URL, so that a token costs one request
// to Entra. azidentity has such a memory in each of its credentials, which live for one token here.
type configurations struct {
	once    sync.Once
	held    *lru.Cache[string, remembered]
	flights flight.Group[struct{}]
}

type remembered struct {
	body    []byte
	fetched time.Time
	renewAt time.Time
}

func (c *configurations) lru() *lru.Cache[string, remembered] {
	c.once.Do(func() {
		var err error
		if c.held, err = lru.New[string, remembered](maxConfigurations); err != nil {
			panic(err) // the size is a positive constant
		}
	})
	return c.held
}

// answer returns the remembered answer to a request, or nil. An old one is renewed aside.
func (c *configurations) answer(r *http.Request, client *http.Client) *http.Response {
	if !isConfiguration(r) {
		return nil
	}
	url := configurationURL(r.URL.Host, r.URL.Path)
	known, ok := c.lru().Get(url)
	now := time.Now()
	if !ok || now.Sub(known.fetched) >= configurationFor {
		return nil
	}
	if !now.Before(known.renewAt) {
		c.flights.Go(r.Context(), url, tryTimeout, func(ctx context.Context) (struct{}, error) {
			c.renew(ctx, url, client)
			return struct{}{}, nil
		})
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(known.body)),
		ContentLength: int64(len(known.body)), Request: r,
	}
}

func (c *configurations) renew(ctx context.Context, url string, client *http.Client) {
	known, ok := c.lru().Get(url)
	if !ok || time.Now().Before(known.renewAt) {
		return // forgotten, or renewed by a flight that ended just now
	}
	known.renewAt = time.Now().Add(configurationPause)
	c.lru().Add(url, known)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	response, err := client.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err == nil {
		c.remember(request, response.StatusCode, body)
	}
}

// remember keeps an answer if it is an openid-configuration whose token endpoint is on the host that
// was asked.
func (c *configurations) remember(r *http.Request, status int, body []byte) {
	var read configuration
	if !isConfiguration(r) || status != http.StatusOK || json.Unmarshal(body, &read) != nil ||
		read.Issuer == "" || read.Authorization == "" || !strings.HasPrefix(read.Token, "https://"+r.URL.Host+"/") {
		return
	}
	kept, err := json.Marshal(read)
	if err != nil {
		return // three strings can always be written
	}
	now := time.Now()
	c.lru().Add(configurationURL(r.URL.Host, r.URL.Path), remembered{body: kept, fetched: now, renewAt: now.Add(configurationRenewal)})
}

// forget makes the next token ask for the tenant's openid-configuration again.
func (c *configurations) forget(host, tenant string) {
	c.lru().Remove(configurationURL(host, "/"+tenant+configurationPath))
}

// configurationURL is the URL without the question mark that azidentity puts behind it.
func configurationURL(host, path string) string { return "https://" + host + path }

func isConfiguration(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, configurationPath) && r.URL.RawQuery == ""
}
