package keyvault_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys/fake"

	"fhirlink/shared/secret/keyvault/vaulttest"
	"fhirlink/shared/signer"
	"fhirlink/shared/signer/keyvault"
	"fhirlink/shared/signer/signertest"
)

const vaultURL = "https://contoso.vault.azure.net"

// vault is the SDK's fake over keys in memory.
type vault struct {
	keys   map[string]*rsa.PrivateKey
	kind   azkeys.KeyType
	status int // of every answer; 0: they succeed
	gets   int
}

// The versions of the fake, and how they are.
var attributes = map[string]*azkeys.KeyAttributes{
	"a1": {Enabled: to.Ptr(true), Created: to.Ptr(time.Now().Add(-48 * time.Hour))},
	"b2": {Enabled: to.Ptr(true), Created: to.Ptr(time.Now())},
	"c3": {Enabled: to.Ptr(false), Created: to.Ptr(time.Now())},
	"d4": {Enabled: to.Ptr(true), Created: to.Ptr(time.Now()), Expires: to.Ptr(time.Now().Add(-time.Hour))},
	"e5": {Enabled: to.Ptr(true), Created: to.Ptr(time.Now()), NotBefore: to.Ptr(time.Now().Add(time.Hour))},
}

func newKey(t *testing.T, v *vault, bits int) *keyvault.Key {
	t.Helper()
	v.keys = map[string]*rsa.PrivateKey{}
	for _, id := range []string{"a1", "b2"} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		v.keys[id] = key
	}
	o := keyvault.ClientOptions()
	o.Retry.MaxRetries = -1
	o.Transport = fake.NewServerTransport(&fake.Server{GetKey: v.get, Sign: v.sign, NewListKeyPropertiesVersionsPager: v.list})
	client, err := azkeys.NewClient(vaultURL, &azfake.TokenCredential{}, o)
	if err != nil {
		t.Fatal(err)
	}
	return keyvault.New(client, "fhirlink-smart")
}

func id(version string) *azkeys.ID {
	return to.Ptr(azkeys.ID(vaultURL + "/keys/fhirlink-smart/" + version))
}

// versionOf is the version that a request names: the SDK's fake reads it into the name.
func versionOf(name, version string) string {
	if version == "" {
		_, version, _ = strings.Cut(name, "/")
	}
	return version
}

func (v *vault) get(_ context.Context, name, version string, _ *azkeys.GetKeyOptions) (r azfake.Responder[azkeys.GetKeyResponse], e azfake.ErrorResponder) {
	v.gets++
	if v.status != 0 {
		e.SetResponseError(v.status, "canary")
		return r, e
	}
	kind := v.kind
	if kind == "" {
		kind = azkeys.KeyTypeRSA
	}
	version = versionOf(name, version)
	public := v.keys[version].PublicKey
	r.SetResponse(http.StatusOK, azkeys.GetKeyResponse{KeyBundle: azkeys.KeyBundle{Key: &azkeys.JSONWebKey{
		KID: id(version), Kty: to.Ptr(kind), N: public.N.Bytes(), E: big.NewInt(int64(public.E)).Bytes(),
	}}}, nil)
	return r, e
}

func (v *vault) sign(_ context.Context, name, version string, p azkeys.SignParameters, _ *azkeys.SignOptions) (r azfake.Responder[azkeys.SignResponse], e azfake.ErrorResponder) {
	version = versionOf(name, version)
	signature, err := rsa.SignPKCS1v15(nil, v.keys[version], crypto.SHA256, p.Value)
	switch {
	case v.status != 0:
		e.SetResponseError(v.status, "canary")
	case err != nil || *p.Algorithm != azkeys.SignatureAlgorithmRS256:
		e.SetResponseError(http.StatusBadRequest, "BadParameter")
	default:
		r.SetResponse(http.StatusOK, azkeys.SignResponse{KeyOperationResult: azkeys.KeyOperationResult{KID: id(version), Result: signature}}, nil)
	}
	return r, e
}

func (v *vault) list(string, *azkeys.ListKeyPropertiesVersionsOptions) (r azfake.PagerResponder[azkeys.ListKeyPropertiesVersionsResponse]) {
	if v.status != 0 {
		r.AddResponseError(v.status, "canary")
		return r
	}
	for version, a := range attributes { // a page for each
		r.AddPage(http.StatusOK, azkeys.ListKeyPropertiesVersionsResponse{KeyPropertiesListResult: azkeys.KeyPropertiesListResult{Value: []*azkeys.KeyProperties{{KID: id(version), Attributes: a}}}}, nil)
	}
	return r
}

func TestKey(t *testing.T) {
	signertest.Run(t, func(t *testing.T) signer.Versions { return newKey(t, &vault{}, 2048) })
}

// TestWire is TestKey against a server that speaks as Key Vault does, to which the other tests' stand-in is
// only the SDK's view.
func TestWire(t *testing.T) {
	signertest.Run(t, func(t *testing.T) signer.Versions {
		vault := vaulttest.NewServer()
		vault.Keys = map[string]*signertest.Key{"fhirlink-smart": signertest.New()}
		o := keyvault.ClientOptions()
		o.Transport = vault.Start(t)
		client, err := azkeys.NewClient(vaultURL, &azfake.TokenCredential{}, o)
		if err != nil {
			t.Fatal(err)
		}
		return keyvault.New(client, "fhirlink-smart")
	})
	vault := vaulttest.NewServer()
	o := keyvault.ClientOptions()
	o.Transport = vault.Start(t)
	client, err := azkeys.NewClient(vaultURL, &azfake.TokenCredential{}, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyvault.New(client, "fhirlink-smart").Versions(t.Context()); !errors.Is(err, signer.ErrNone) {
		t.Errorf("a vault without the key: %v", err)
	}
}

func TestVersions(t *testing.T) {
	v := &vault{}
	k := newKey(t, v, 2048)
	for range 2 {
		versions, err := k.Versions(t.Context())
		if err != nil || len(versions) != 2 {
			t.Fatalf("%v, %v", versions, err)
		}
	}
	if v.gets != 2 {
		t.Errorf("%d reads of two versions that never change", v.gets)
	}
}

func TestKeysOfAnotherKind(t *testing.T) {
	for name, k := range map[string]*keyvault.Key{"elliptic": newKey(t, &vault{kind: azkeys.KeyTypeEC}, 2048), "short": newKey(t, &vault{}, 1024)} {
		if _, err := k.Versions(t.Context()); !errors.Is(err, signer.ErrUnavailable) || !strings.Contains(err.Error(), "2048") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVaultRefuses(t *testing.T) {
	for status, want := range map[int]error{404: signer.ErrNone, 401: signer.ErrUnavailable, 403: signer.ErrUnavailable, 429: signer.ErrUnavailable, 503: signer.ErrUnavailable} {
		k := newKey(t, &vault{status: status}, 2048)
		_, listed := k.Versions(t.Context())
		_, signed := k.Sign(t.Context(), "a1", make([]byte, 32))
		for _, err := range []error{listed, signed} {
			if !errors.Is(err, want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%d: %v", status, err)
			}
		}
	}
}
