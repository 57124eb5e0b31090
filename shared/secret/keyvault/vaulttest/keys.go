package vaulttest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"

	"fhirlink/shared/signer"
)

// keys answers a request for a key (https://learn.microsoft.com/rest/api/keyvault/keys/operation-groups).
// rest is the path below /keys/.
func (s *Server) keys(w http.ResponseWriter, r *http.Request, rest string) {
	name, rest, _ := strings.Cut(rest, "/")
	version, operation, _ := strings.Cut(rest, "/")
	key := s.Keys[name]
	if key == nil {
		fail(w, http.StatusNotFound, "KeyNotFound", "")
		return
	}
	versions, err := key.Versions(r.Context())
	i := slices.IndexFunc(versions, func(v signer.Version) bool { return v.ID == version })
	switch {
	case err != nil:
		fail(w, http.StatusServiceUnavailable, "ServiceUnavailable", "")
	case r.Method == http.MethodGet && version == "versions" && operation == "":
		value := []any{}
		for _, v := range versions {
			value = append(value, map[string]any{"kid": kid(name, v), "attributes": keyAttributes(v)})
		}
		answer(w, http.StatusOK, map[string]any{"value": value, "nextLink": nil})
	case i < 0:
		fail(w, http.StatusNotFound, "KeyNotFound", "")
	case r.Method == http.MethodGet && operation == "":
		v := versions[i]
		answer(w, http.StatusOK, map[string]any{"attributes": keyAttributes(v), "key": map[string]any{
			"kid": kid(name, v), "kty": "RSA", "key_ops": []string{"sign", "verify"},
			"n": encoded(v.Public.N.Bytes()), "e": encoded(big.NewInt(int64(v.Public.E)).Bytes()),
		}})
	case r.Method == http.MethodPost && operation == "sign":
		s.sign(w, r, name, versions[i])
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "")
	}
}

func (s *Server) sign(w http.ResponseWriter, r *http.Request, name string, v signer.Version) {
	var p struct{ Alg, Value string }
	if json.NewDecoder(r.Body).Decode(&p) != nil || p.Alg != "RS256" {
		fail(w, http.StatusBadRequest, "BadParameter", "")
		return
	}
	digest, err := base64.RawURLEncoding.DecodeString(p.Value)
	if err != nil || len(digest) != 32 { // SHA-256
		fail(w, http.StatusBadRequest, "BadParameter", "")
		return
	}
	signature, err := s.Keys[name].Sign(r.Context(), v.ID, digest)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "ServiceUnavailable", "")
		return
	}
	answer(w, http.StatusOK, map[string]any{"kid": kid(name, v), "value": encoded(signature)})
}

func kid(name string, v signer.Version) string {
	return fmt.Sprintf("https://contoso.vault.azure.net/keys/%s/%s", name, v.ID)
}

func keyAttributes(v signer.Version) map[string]any {
	return map[string]any{
		"enabled": true, "created": v.CreatedAt.Unix(), "updated": v.CreatedAt.Unix(),
		"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90, "exportable": false,
	}
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
