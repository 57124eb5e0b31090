package entratest

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"

	"fhirlink/shared/entra"
)

// signer is a signing key with its id.
type signer struct {
	kid string
	key *rsa.PrivateKey
}

// firstKey is shared by all authorities of a process, because generating a key is slow.
var firstKey = sync.OnceValue(newKey)

func newKey() *signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the system's random source never fails
	}
	sum := sha256.Sum256(key.N.Bytes())
	return &signer{base64.RawURLEncoding.EncodeToString(sum[:20]), key}
}

// Rotate switches to a new signing key. The old keys stay published unless withdraw is true.
func (a *Authority) Rotate(withdraw bool) {
	fresh := newKey()
	a.mu.Lock()
	defer a.mu.Unlock()
	if withdraw {
		a.keys = nil
	}
	a.keys = append(a.keys, fresh)
}

// OwnKey gives an application a signing key of its own, as a policy that maps claims needs it. It is
// published only to those who ask with ?appid=
// (https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-signature).
func (a *Authority) OwnKey(clientID string) {
	fresh := newKey()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.appKeys[clientID] = fresh
}

// signers returns the keys that are published for an application; "": for any.
func (a *Authority) signers(clientID string) []*signer {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Clone(a.keys)
	if own := a.appKeys[strings.ToLower(clientID)]; own != nil {
		all = append(all, own)
	}
	return all
}

// publishKeys writes the JWK Set (RFC 7517), with the issuer that Entra adds to each key.
func (a *Authority) publishKeys(w http.ResponseWriter, r *http.Request) {
	keys := []map[string]any{}
	for _, s := range a.signers(r.URL.Query().Get("appid")) {
		keys = append(keys, map[string]any{
			"kty": "RSA", "use": "sig", "kid": s.kid, "x5t": s.kid,
			"n":      base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()),
			"e":      base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.key.E)).Bytes()),
			"issuer": a.url(r) + "/{tenantid}/v2.0",
		})
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
}

// Mint signs an access token (v2) of a caller of our API. Its claims are those of an application
// of the first tenant, without aud and roles. The given claims override them; a nil value removes
// a claim. Without URL the issuer is login.microsoftonline.com.
func (a *Authority) Mint(claims map[string]any) string {
	now := a.now().Unix()
	all := map[string]any{
		"tid": a.firstTenant(), "oid": "33333333-3333-4333-8333-333333333333", "sub": "33333333-3333-4333-8333-333333333333",
		"azp": "44444444-4444-4444-8444-444444444444", "azpacr": "1", "ver": "2.0", "uti": guid(),
		"iat": now, "nbf": now, "exp": now + int64(a.lifetime().Seconds()),
	}
	maps.Copy(all, claims)
	if _, given := claims["iss"]; !given {
		tid, _ := all["tid"].(string)
		all["iss"] = strings.TrimRight(cmp.Or(a.URL, "https://login.microsoftonline.com"), "/") + "/" + tid + "/v2.0"
	}
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return a.Sign(nil, all)
}

func (a *Authority) firstTenant() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ids := slices.Sorted(maps.Keys(a.tenants)); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// Sign returns a JWS (RFC 7515) of the payload, signed with the current key. header overrides the
// members of the usual header. The signature is a true one for the algorithms RS256, RS512 and
// PS256 (RFC 7518 §3.1); for any other it is RS256's.
func (a *Authority) Sign(header map[string]any, payload any) string {
	return a.SignFor("", header, payload)
}

// SignFor is Sign with the key of an application, if it has one of its own.
func (a *Authority) SignFor(clientID string, header map[string]any, payload any) string {
	keys := a.signers(clientID)
	s := keys[len(keys)-1]
	all := map[string]any{"typ": "JWT", "alg": "RS256", "kid": s.kid, "x5t": s.kid}
	maps.Copy(all, header)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text := segment(all) + "." + segment(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(s.sign(all["alg"], text))
}

func (s *signer) sign(alg any, text string) []byte {
	var options crypto.SignerOpts = crypto.SHA256
	switch alg {
	case "RS512":
		options = crypto.SHA512
	case "PS256":
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := crypto.SignMessage(s.key, rand.Reader, []byte(text), options)
	if err != nil {
		panic(err) // the key fits the hashes
	}
	return signature
}

// segment encodes a part of a token. A json.RawMessage is used unchanged.
func segment(v any) string {
	data, isRaw := v.(json.RawMessage)
	if !isRaw {
		var err error
		if data, err = json.Marshal(v); err != nil {
			panic(err) // claims that no test can intend
		}
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// resourceToken returns an access token of version 1, as FHIR services receive them
// (https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference). The
// changed claims override the usual ones.
func (a *Authority) resourceToken(t Tenant, app App, resource string, changed map[string]any) string {
	now := a.now().Unix()
	claims := map[string]any{
		"aud": resource, "iss": "https://sts.windows.net/" + t.ID + "/", "idp": "https://sts.windows.net/" + t.ID + "/",
		"iat": now, "nbf": now, "exp": now + int64(a.lifetime().Seconds()),
		"appid": app.ClientID, "appidacr": "1", "oid": app.ObjectID, "sub": app.ObjectID, "tid": t.ID, "uti": guid(), "ver": "1.0",
	}
	if len(app.Roles) > 0 {
		claims["roles"] = app.Roles
	}
	maps.Copy(claims, changed)
	return a.Sign(nil, claims)
}

// Check does what a FHIR service does with a token: it verifies the signature with the published
// keys, and that the token has not expired. The caller must check the audience.
func (a *Authority) Check(token string) (entra.Claims, error) {
	if inner, err := base64.RawURLEncoding.DecodeString(token); err == nil { // scenario token-opaque
		token = string(inner)
	}
	claims, err := entra.ParseClaims(token)
	if err != nil {
		return entra.Claims{}, err
	}
	cut := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
	if err != nil {
		return entra.Claims{}, errors.New("the signature is invalid")
	}
	sum := sha256.Sum256([]byte(token[:cut]))
	if !slices.ContainsFunc(a.signers(""), func(s *signer) bool {
		return rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature) == nil
	}) {
		return entra.Claims{}, errors.New("the signature is invalid")
	}
	if !a.now().Before(claims.Expires) {
		return entra.Claims{}, errors.New("the token is expired")
	}
	return claims, nil
}
