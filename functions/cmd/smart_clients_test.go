package cmd_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/smartauth/jwks"
)

// clinicBase is the FHIR server of the link that registerClinic makes.
const clinicBase = "https://clinic.fhir.sandbox.test"

// importedSecret is a client secret that an app brings along. Whoever forgets to encode or to decode it
// sends or understands another one.
const importedSecret = `imported:with+plus/100%25=&~ "quoted"\`

// TestOthersClients signs users in for apps that are made with strict OAuth libraries of others.
// `make smart-clients-test` installs them, and sets SMART_CLIENTS. Otherwise the test is skipped, because
// make test needs Go and make only.
func TestOthersClients(t *testing.T) {
	if os.Getenv("SMART_CLIENTS") == "" {
		t.Log("nothing to do: .ci/smart-clients installs the clients, and sets SMART_CLIENTS")
		return
	}
	local := startLocal(t)
	registerClinic(t, local)
	issuer := switchOn(t, local)
	const redirectURI = "https://app.example/cb"
	makeApp := func(app map[string]any) {
		app["name"], app["redirectUris"] = "App", []string{redirectURI}
		sendJSON(t, http.MethodPost, local+"/api/links/good-health-clinic/apps", app, http.StatusCreated)
	}
	for _, c := range []struct {
		name, kind, method string
		iss                bool
		algorithm          jose.SignatureAlgorithm
	}{
		{"public", "public", "none", false, ""},
		{"public with iss", "public", "none", true, ""},
		{"Basic", "symmetric", "client_secret_basic", false, ""},
		{"post with iss", "symmetric", "client_secret_post", true, ""},
		{"RS384", "asymmetric", "private_key_jwt", false, jose.RS384},
		{"ES384", "asymmetric", "private_key_jwt", false, jose.ES384},
	} {
		settings := map[string]any{
			"issuer": issuer, "method": c.method, "iss": c.iss, "redirectUri": redirectURI, "aud": clinicBase,
			"user": "pat", "patient": "p-1", "fhirUser": clinicBase + "/Patient/p-1", "scope": "openid fhirUser launch/patient offline_access patient/*.rs",
		}
		app := map[string]any{"type": c.kind, "authorizationResponseIss": c.iss}
		scopes := []string{"openid", "fhirUser", "launch/patient", "offline_access", "patient/*.rs"}
		if c.algorithm != "" {
			private, public := keyPair(t, c.algorithm)
			settings["key"] = private
			app["jwks"], app["grants"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}, []string{"authorization_code", "client_credentials"}
			scopes = append(scopes, "system/*.rs")
		}
		if c.kind == "symmetric" {
			scopes[4] = "user/*.cruds"
			settings["user"], settings["fhirUser"], settings["scope"] = "ada", clinicBase+"/Practitioner/1", "openid fhirUser offline_access user/Patient.rs"
			delete(settings, "patient")
		}
		for _, library := range []string{"oauth4webapi", "openid-client"} {
			t.Run(library+", "+c.name, func(t *testing.T) {
				clientID := library + "-" + strings.ReplaceAll(c.name, " ", "-")
				settings["clientId"], app["clientId"], app["scopes"] = clientID, clientID, scopes
				makeApp(app)
				if c.kind == "symmetric" {
					sendJSON(t, http.MethodPost, local+"/api/links/good-health-clinic/apps/"+clientID+"/secret", map[string]any{"clientSecret": importedSecret}, http.StatusCreated)
					settings["secret"] = importedSecret
				}
				runClient(t, library+".mjs", settings)
			})
		}
	}
	for _, algorithm := range jwks.Algorithms {
		t.Run("jose, "+string(algorithm), func(t *testing.T) {
			private, public := keyPair(t, algorithm)
			clientID := "backend-" + string(algorithm)
			makeApp(map[string]any{
				"clientId": clientID, "type": "asymmetric", "grants": []string{"client_credentials"}, "scopes": []string{"system/*.rs"}, "jwks": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}},
			})
			runClient(t, "backend.mjs", map[string]any{"issuer": issuer, "clientId": clientID, "key": private, "aud": clinicBase})
		})
	}
}

// keyPair makes the key of an app.
func keyPair(t *testing.T, algorithm jose.SignatureAlgorithm) (private, public jose.JSONWebKey) {
	t.Helper()
	private = jose.JSONWebKey{KeyID: "key-of-the-app", Algorithm: string(algorithm)}
	var err error
	if algorithm == jose.RS384 {
		private.Key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		private.Key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return private, private.Public()
}

// switchOn makes the clinic's link an authorization server.
func switchOn(t *testing.T, api string) (issuer string) {
	t.Helper()
	issuer, _ = sendJSON(t, http.MethodPut, api+"/api/links/good-health-clinic/smart", map[string]any{"tokens": "fhirlink"}, http.StatusCreated, "If-None-Match", "*")["issuer"].(string)
	if issuer == "" {
		t.Fatal("the answer names no issuer")
	}
	return issuer
}

// sendJSON sends JSON to the API, and returns the answer. Headers come in pairs of name and value.
func sendJSON(t *testing.T, method, address string, in any, status int, headers ...string) (out map[string]any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != status {
		t.Fatalf("%s %s: %s %s", method, address, a.Status, text)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// runClient runs a program of .ci/smart, which says ok if all is as it should be.
func runClient(t *testing.T, program string, settings map[string]any) {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", program)
	cmd.Dir = filepath.Clean(os.Getenv("SMART_CLIENTS"))
	cmd.Env = append(withoutSettings(os.Environ()), "SMART_SETTINGS="+string(text))
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// TestOthersApp runs a web app with fhirclient, the library of SMART Health IT, in Chromium.
func TestOthersApp(t *testing.T) {
	if os.Getenv("SMART_CLIENTS") == "" {
		t.Log("nothing to do: .ci/smart-clients installs the library and Chromium, and sets SMART_CLIENTS")
		return
	}
	local := startLocal(t)
	registerClinic(t, local)
	issuer := switchOn(t, local)
	scope := "openid fhirUser launch/patient offline_access patient/*.rs"
	apps := local + "/api/links/good-health-clinic/apps"
	for clientID, is := range map[string]struct{ kind, page string }{"growth-chart": {"public", "index.html"}, "portal": {"symmetric", "init.html"}} {
		sendJSON(t, http.MethodPost, apps, map[string]any{
			"clientId": clientID, "name": "App", "type": is.kind, "redirectUris": []string{"http://127.0.0.1/" + is.page}, "scopes": strings.Fields(scope),
		}, http.StatusCreated)
	}
	ehrScope := "launch openid fhirUser launch/patient launch/encounter patient/*.rs"
	sendJSON(t, http.MethodPost, apps, map[string]any{
		"clientId": "opened", "name": "App", "type": "public", "redirectUris": []string{"http://127.0.0.1/index.html"}, "scopes": strings.Fields(ehrScope),
	}, http.StatusCreated)
	sendJSON(t, http.MethodPost, apps+"/portal/secret", map[string]any{"clientSecret": importedSecret}, http.StatusCreated)
	cert, key := serverCertificate(t)
	runClient(t, "fhirclient.mjs", map[string]any{
		"issuer": issuer, "clientId": "growth-chart", "aud": clinicBase, "scope": scope, "user": "pat", "patient": "p-1", "fhirUser": "Patient/p-1", "cert": cert, "key": key,
		"confidential": map[string]string{"clientId": "portal", "clientSecret": importedSecret},
		"ehr": map[string]string{
			"api": local + "/api/links/good-health-clinic", "clientId": "opened", "user": "ada", "oid": "a0a0a0a0-0000-4000-8000-000000000001", "fhirUser": "Practitioner/1", "patient": "p-2", "scope": ehrScope,
		},
	})
}

// serverCertificate returns a certificate and its key as PEM. Nobody trusts it by itself.
func serverCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	pair := s.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}
