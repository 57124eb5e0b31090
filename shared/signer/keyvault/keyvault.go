package keyvault

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"fhirlink/shared/signer"
)

const minBits = 2048

// Key implements [signer.Versions].
type Key struct {
	client *azkeys.Client
	name   string

	mu     sync.Mutex
	public map[string]*rsa.PublicKey // by version; a version never changes
}

var _ signer.Versions = (*Key)(nil)

// New returns the key with this name. The client was made with [ClientOptions]. It makes no request.
func New(client *azkeys.Client, name string) *Key {
	return &Key{client: client, name: name, public: map[string]*rsa.PublicKey{}}
}

// ClientOptions returns the options that the key expects: no redirects, and two tries within seven
// seconds. A Retry-After of more than a second is not waited for.
func ClientOptions() *azkeys.ClientOptions {
	o := &azkeys.ClientOptions{}
	o.Retry = policy.RetryOptions{MaxRetries: 1, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: time.Second, TryTimeout: 3 * time.Second}
	o.Telemetry.ApplicationID = "fhirlink"
	o.Transport = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return o
}

// Versions implements [signer.Versions]. A version that has ended (exp), or not begun (nbf), counts as
// disabled.
func (k *Key) Versions(ctx context.Context) (all []signer.Version, err error) {
	now := time.Now()
	pager := k.client.NewListKeyPropertiesVersionsPager(k.name, nil)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, k.explain("listing", err)
		}
		for _, v := range page.Value {
			a := v.Attributes
			if v.KID == nil || a == nil || a.Created == nil || a.Enabled == nil || !*a.Enabled || a.Expires != nil && now.After(*a.Expires) || a.NotBefore != nil && now.Before(*a.NotBefore) {
				continue
			}
			public, err := k.publicKey(ctx, v.KID.Version())
			if err != nil {
				return nil, err
			}
			all = append(all, signer.Version{ID: v.KID.Version(), Public: public, CreatedAt: *a.Created})
		}
	}
	return all, nil
}

// publicKey reads a version once.
func (k *Key) publicKey(ctx context.Context, version string) (*rsa.PublicKey, error) {
	k.mu.Lock()
	known := k.public[version]
	k.mu.Unlock()
	if known != nil {
		return known, nil
	}
	answer, err := k.client.GetKey(ctx, k.name, version, nil)
	if err != nil {
		return nil, k.explain("reading", err)
	}
	found := answer.Key
	if found == nil || found.Kty == nil || *found.Kty != azkeys.KeyTypeRSA && *found.Kty != azkeys.KeyTypeRSAHSM {
		return nil, fmt.Errorf("%w: the key %s in Key Vault is no RSA key: make one of the type RSA with 2048 bits", signer.ErrUnavailable, k.name)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(found.N), E: int(new(big.Int).SetBytes(found.E).Int64())}
	if public.N.BitLen() < minBits || public.E < 3 {
		return nil, fmt.Errorf("%w: the key %s in Key Vault has %d bits: make one with 2048", signer.ErrUnavailable, k.name, public.N.BitLen())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.public[version] = public
	return public, nil
}

// Sign implements [signer.Versions].
func (k *Key) Sign(ctx context.Context, version string, digest []byte) ([]byte, error) {
	answer, err := k.client.Sign(ctx, k.name, version, azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmRS256), Value: digest}, nil)
	if err != nil {
		return nil, k.explain("signing with", err)
	}
	if len(answer.Result) == 0 {
		return nil, fmt.Errorf("%w: Key Vault answered without a signature", signer.ErrUnavailable)
	}
	return answer.Result, nil
}

// explain keeps what is known of an answer, and nothing of its text.
func (k *Key) explain(doing string, err error) error {
	var answer *azcore.ResponseError
	switch {
	case !errors.As(err, &answer):
		return fmt.Errorf("%w: %s the key %s: Key Vault did not answer", signer.ErrUnavailable, doing, k.name)
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: Key Vault has no key %s", signer.ErrNone, k.name)
	case answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s the key %s: Key Vault refuses this program (status %d): give its identity the role Key Vault Crypto User on the key", signer.ErrUnavailable, doing, k.name, answer.StatusCode)
	}
	return fmt.Errorf("%w: %s the key %s: Key Vault answered %d", signer.ErrUnavailable, doing, k.name, answer.StatusCode)
}
