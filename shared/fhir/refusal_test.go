package fhir

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"fhirlink/shared/secret"
)

func TestReason(t *testing.T) {
	const pii = "[PII of type 'System.String' is hidden. For more details, see https://aka.ms/IdentityModel/PII.]"
	for text, want := range map[string]Reason{
		// ASP.NET
		"The audience 'https://fhir.example.org/r4' is invalid":                                                     AudienceRefused,
		"The audience 'https://issuer.example.org' is invalid; The issuer 'https://x.example' is…":                  AudienceRefused,
		"The issuer 'https://sts.windows.net/11111111-1111-4111-8111-111111111111/' is invalid":                     IssuerRefused,
		"The issuer 'https://audience.example.org/expired' is invalid":                                              IssuerRefused,
		"The signature key was not found":                                                                           SignatureRefused,
		"The signature is invalid":                                                                                  SignatureRefused,
		"The token expired at '11/28/2026 10:00:00'":                                                                OutsideLifetime,
		"The token is not valid before '11/28/2026 10:00:00'":                                                       OutsideLifetime,
		"The token has no expiration":                                                                               OutsideLifetime,
		"The token lifetime is invalid; NotBefore: '1', Expires: '2'":                                               OutsideLifetime,
		"IDX10214: Audience validation failed. Audiences: '" + pii + "'.":                                           AudienceRefused,
		"IDX10205: Issuer validation failed. Issuer: '" + pii + "'. Did not match: ValidAudience":                   IssuerRefused,
		"IDX40001: Issuer: 'x', does not match any of the valid issuers for this application.":                      IssuerRefused,
		"IDX10223: Lifetime validation failed. The token is expired. ValidTo (UTC): '1'":                            OutsideLifetime,
		"IDX10222: Lifetime validation failed. The token is not yet valid.":                                         OutsideLifetime,
		"IDX10501: Signature validation failed. Unable to match key: kid: 'x'. token: {\"aud\":1}":                  SignatureRefused,
		"IDX10503: Signature validation failed. Token does not have a kid. Keys tried: 'expired'":                   SignatureRefused,
		"IDX20803: Unable to obtain configuration from: 'https://issuer.example/.well-known/openid-configuration'.": SignatureRefused,
		// Spring Security
		"An error occurred while attempting to decode the Jwt: Jwt expired at 2026-11-28T10:00:00Z": OutsideLifetime,
		"Jwt used before 2026-11-28T10:00:00Z":                                                      OutsideLifetime,
		"An error occurred while attempting to decode the Jwt: The iss claim is not valid":          IssuerRefused,
		"The aud claim is not valid":                                                                AudienceRefused,
		"The required audience is missing":                                                          AudienceRefused,
		"An error occurred while attempting to decode the Jwt: Signed JWT rejected: Another algorithm expected, or no matching key(s) found": SignatureRefused,
		"Signed JWT rejected: Invalid signature": SignatureRefused,
		// others
		"Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API.": GatewayKeyMissing,
		"JWT Validation Failed: Claim value mismatch: aud=api://x.":                                                            AudienceRefused,
		"JWT Validation Failed: Claim value mismatch: roles=x.":                                                                RightMissing,
		"Signature has expired":                                   OutsideLifetime,
		"jwt expired":                                             OutsideLifetime,
		"jwt not active":                                          OutsideLifetime,
		"jwt audience invalid. expected: x":                       AudienceRefused,
		"Jwt issuer is not configured":                            IssuerRefused,
		"Audiences in Jwt are not allowed":                        AudienceRefused,
		"Jwks doesn't have key to match kid or alg from Jwt":      SignatureRefused,
		"oidc: expected audience \"x\" got [\"y\"]":               AudienceRefused,
		"id token issued by a different provider, expected \"x\"": IssuerRefused,
		"Insufficient scope for this resource":                    RightMissing,
		"Authentication failed.":                                  UnknownReason,
		// ASP.NET Core, Microsoft.Identity.Web
		"The audience '(null)' is invalid":                                               AudienceRefused,
		"The tokens lifetime is invalid; NotBefore: '(null)', Expires: '(null)'":         OutsideLifetime,
		"The token is not valid yet":                                                     OutsideLifetime,
		"IDX10634: Unable to create the SignatureProvider. Algorithm: 'RS256'":           SignatureRefused,
		"IDX10500: Signature validation failed. No security keys were provided.":         SignatureRefused,
		"IDX10204: Unable to validate issuer. validationParameters.ValidIssuer is null":  IssuerRefused,
		"IDX10225: Lifetime validation failed. The token is missing an Expiration Time.": OutsideLifetime,
		"IDW10201: Neither scope nor roles claim was found in the bearer token.":         RightMissing,
		"IDW10203: The 'scope' or 'scp' claim does not contain scopes 'access_as_user'":  RightMissing,
		"IDX14100: JWT is not well formed, there are no dots (.).":                       UnknownReason,
		"IDX12741: JWT must have three segments (JWS) or five segments (JWE).":           UnknownReason,
		// Spring Security
		"An error occurred while attempting to decode the Jwt: Unsupported algorithm of RS256":                         SignatureRefused,
		"An error occurred while attempting to decode the Jwt: Couldn't retrieve remote JWK set: Read timed out":       SignatureRefused,
		"An error occurred while attempting to decode the Jwt: This aud claim is not equal to the configured audience": AudienceRefused,
		"An error occurred while attempting to decode the Jwt: Malformed token":                                        UnknownReason,
		"The request requires higher privileges than provided by the access token.":                                    RightMissing,
		"Full authentication is required to access this resource":                                                      UnknownReason,
		"Bearer token is malformed":   UnknownReason,
		"Provided token isn't active": UnknownReason,
		// Keycloak, Okta, Auth0
		"Invalid token issuer. Expected 'https://kc.example.org/realms/x', but was 'https://sts.windows.net/x/'": IssuerRefused,
		"Token is not active":                             OutsideLifetime,
		"Didn't find publicKey for kid: abc":              SignatureRefused,
		"Expected audience not available in the token":    AudienceRefused,
		`unexpected "aud" value`:                          AudienceRefused,
		`unexpected "iss" claim value`:                    IssuerRefused,
		`"exp" claim timestamp check failed`:              OutsideLifetime,
		"no applicable key found in the JSON Web Key Set": SignatureRefused,
		"Jwt header is missing kid":                       SignatureRefused,
		"Failed to resolve the JSON Web Keys":             SignatureRefused,
		// Envoy, Istio, Kong, Traefik, AWS, Apigee
		"Jwt verification fails":                                      SignatureRefused,
		"Jwt header [alg] is not supported":                           SignatureRefused,
		"Jwks remote fetch is failed":                                 SignatureRefused,
		"No credentials found for given 'iss'":                        IssuerRefused,
		"Invalid algorithm":                                           SignatureRefused,
		"the token does not have a valid audience":                    AudienceRefused,
		"signing method is invalid":                                   SignatureRefused,
		"the issuer is not valid":                                     IssuerRefused,
		"Access Token expired":                                        OutsideLifetime,
		"access_token_expired":                                        OutsideLifetime,
		"crypto/rsa: verification error":                              SignatureRefused,
		"failed to load JWKS":                                         SignatureRefused,
		"Token not intended for this resource":                        AudienceRefused,
		"Token is not for this resource server":                       AudienceRefused,
		"The token was issued for another API":                        AudienceRefused,
		"User does not have required role":                            RightMissing,
		"scope is insufficient":                                       RightMissing,
		"no scopes in token":                                          RightMissing,
		"not authorized for this scope":                               RightMissing,
		"x-api-key header is required":                                APIKeyMissing,
		"You must provide a valid API key":                            APIKeyMissing,
		"The request is missing a valid API key.":                     UnknownReason,
		"certificate has expired":                                     UnknownReason,
		"Session expired, please log in again":                        UnknownReason,
		"User account is expired":                                     UnknownReason,
		"token is expired by 5m3s":                                    OutsideLifetime,
		"key not found":                                               UnknownReason,
		"Jwt is missing":                                              UnknownReason,
		"RBAC: access denied":                                         UnknownReason,
		"Invalid ApiKey":                                              APIKeyMissing,
		"No API key found in request":                                 APIKeyMissing,
		"Failed to resolve API Key variable request.header.x-api-key": APIKeyMissing,
		// Open Liberty (IBM FHIR, LinuxForHealth)
		"CWWKS6022E: The issuer [https://sts.windows.net/x/] of the provided JSON web token (JWT) is not listed as a trusted issuer in the [d] JWT configuration.": IssuerRefused,
		"CWWKS6023E: The audience [[x]] of the provided JSON web token (JWT) is not listed as a trusted audience in the [d] JWT configuration.":                    AudienceRefused,
		"CWWKS6025E: The JSON web token (JWT) is not valid because its expiration time (exp) claim is [x].":                                                        OutsideLifetime,
		"CWWKS6029E: A signing key that is required by signature algorithm [RS256] was not available.":                                                             SignatureRefused,
		"CWWKS5522E: The MicroProfile JWT feature cannot perform authentication because a MicroProfile JWT cannot be found in the request.":                        UnknownReason,
		// Firely, Smile CDR, HAPI, IRIS, Aidbox, Epic, Oracle, Medplum, Google
		"The request did not contain the required scopes: user/*.read":                        RightMissing,
		"Unable to find OAuth2 server key with kid: abc":                                      SignatureRefused,
		"Token issuer https://sts.windows.net/x/ is not defined in any OpenID Connect server": IssuerRefused,
		"Access denied: Insufficient permissions":                                             RightMissing,
		"HAPI-0333: Unauthorized":                                                             UnknownReason,
		"Token audience is invalid":                                                           AudienceRefused,
		"Token issuer is not trusted":                                                         IssuerRefused,
		"The access token provided is not valid":                                              UnknownReason,
		"Bearer authorization header is required":                                             UnknownReason,
		"Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.": UnknownReason,
		"Authentication required: provide an access token with your request":                                                                    UnknownReason,
		"Missing bearer token; a key ring was expected":                                                                                         UnknownReason,
		"The patient's identity has not been issued; signing in is required":                                                                    UnknownReason,
		"The scope of this API is read only":                                                                                                    UnknownReason,
		"JWT Validation Failed: Required claim is missing: scp":                                                                                 RightMissing,
		"JWT not present.": UnknownReason,
		"Invalid JWT.":     UnknownReason,
		"HAPI-0334: Access denied by rule: Deny ALL":        UnknownReason,
		"Unauthorized. Access token is missing or invalid.": UnknownReason,
		"": UnknownReason,
	} {
		a := Answer{refusal: refusal{texts: []string{text}}}
		if got := a.Reason(); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestIssuerTenants(t *testing.T) {
	const ours, other = "11111111-1111-4111-8111-111111111111", "99999999-9999-4999-8999-999999999999"
	for text, want := range map[string]string{
		"The issuer 'https://sts.windows.net/" + ours + "/' is invalid":                                                                                             ours,
		"IDX10205: Issuer validation failed. Issuer: 'https://sts.windows.net/" + ours + "/'. Did not match: ValidIssuer: 'https://sts.windows.net/" + other + "/'": other,
		"The iss claim is not valid": "",
	} {
		if got := (Answer{refusal: refusal{texts: []string{text}}}).IssuerTenants(); strings.Join(got, " ") != want {
			t.Errorf("%q gives %v", text, got)
		}
	}
}

// What a server says is shown, but never the token, in whatever way the server repeats it.
func TestSaid(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"
	const opaque = "opaque-token-0123456789"
	tests := []struct{ name, media, challenge, body, want string }{
		{"a challenge", "", `Bearer error="invalid_token", error_description="The audience 'https://a' is invalid"`, "", "The audience 'https://a' is invalid"},
		{"an outcome", "application/fhir+json", "", `{"resourceType":"OperationOutcome","issue":[{"diagnostics":"First."},{"details":{"text":"Second."}}]}`, "First.; Second."},
		{"an outcome with a code", "application/fhir+json", "", `{"resourceType":"OperationOutcome","issue":[{"details":{"coding":[{"display":"You must authenticate"}]}}]}`, "You must authenticate"},
		{"API Management", "application/json", "", `{"statusCode":401,"message":"Access denied."}`, "Access denied."},
		{"Apigee", "application/json", "", `{"fault":{"faultstring":"Invalid access token","detail":{"errorcode":"oauth.v2.InvalidAccessToken"}}}`, "Invalid access token"},
		{"MuleSoft", "application/json", "", `{"error":"invalid_token","description":"The access token has expired."}`, "The access token has expired."},
		{"JSON:API", "application/vnd.api+json", "", `{"errors":[{"status":"401","title":"Unauthorized","detail":"jwt expired"}]}`, "jwt expired"},
		{"a list of texts", "application/json", "", `{"errors":["Audience is wrong.","Other."]}`, "Audience is wrong."},
		{"problem details", "application/problem+json", "", `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The audience is invalid"}`, "The audience is invalid"},
		{"msg", "application/json", "", `{"code":401,"msg":"token expired"}`, "token expired"},
		{"an outcome in XML", "application/fhir+xml", "", `<OperationOutcome xmlns="http://hl7.org/fhir"><issue><severity value="error"/><code value="login"/><diagnostics value="The audience is invalid"/></issue></OperationOutcome>`, "The audience is invalid"},
		{"an outcome in XML with details", "application/xml", "", `<?xml version="1.0" encoding="UTF-8"?><OperationOutcome xmlns="http://hl7.org/fhir"><text><div xmlns="http://www.w3.org/1999/xhtml">No</div></text><issue><details><text value="jwt &lt;expired&gt;"/></details></issue></OperationOutcome>`, "jwt expired"},
		{"another XML", "application/xml", "", `<Error><Message>no</Message></Error>`, ""},
		{"Google", "application/json", "", `{"error":{"code":401,"message":"Request had invalid authentication credentials."}}`, "Request had invalid authentication credentials."},
		{"OAuth", "application/json", "", `{"error":"invalid_token","error_description":"Bad."}`, "Bad."},
		{"plain text", "text/plain", "", "no  entry\r\n here", "no entry here"},
		{"a page", "text/html", "", "<h1>no</h1>", ""},
		{"markup", "application/json", "", `{"message":"<script>alert</script> {x}"}`, "script alert /script x"},
		{"a token", "application/json", "", `{"message":"Authorization=Bearer ` + jwt + ` is odd"}`, "Authorization=Bearer … is odd"},
		{"a part of a token", "application/json", "", `{"message":"got ` + jwt[:30] + `"}`, "got …"},
		{"an opaque token", "application/json", "", `{"message":"got ` + opaque + `!"}`, "got …!"},
		{"an opaque token at the cut", "application/json", "", `{"message":"` + strings.Repeat("x ", 95) + opaque + `"}`, strings.Repeat("x ", 95) + "…"},
		{"an error alone", "", `Bearer error="invalid_token"`, "", "invalid_token"},
		{"another token", "application/json", "", `{"message":"got 0123456789abcdefABCDEF0123456789xyz"}`, "got …"},
		{"a GUID", "application/json", "", `{"message":"tenant 11111111-1111-4111-8111-111111111111"}`, "tenant 11111111-1111-4111-8111-111111111111"},
		{"not printable", "application/json", "", "{\"message\":\"a\\u202eb\\u0000c\xff\"}", "ab c"},
		{"long", "application/json", "", `{"message":"` + strings.Repeat("ä", 500) + `"}`, strings.Repeat("ä", 199) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.media)
				if tt.challenge != "" {
					w.Header().Set("WWW-Authenticate", tt.challenge)
				}
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, tt.body) // to memory
			})
			a, err := c.Read(t.Context(), CountPatients(), secret.New(opaque))
			if got := a.Said(); err != nil || got != tt.want {
				t.Errorf("%q, want %q; %v", got, tt.want, err)
			}
		})
	}
}

// A server may repeat the token anywhere in its answer.
func TestTokenNowhere(t *testing.T) {
	const token = "Opaque-Token-42"
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/"+token)
		w.Header().Set("Location", "https://"+token+".example.org/"+token)
		w.Header().Set("X-Correlation-Id", token)
		w.Header().Set("WWW-Authenticate", token+` error="`+token+`"`)
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, `{"resourceType":"`+token+`"}`) // to memory
	})
	a, err := c.Read(t.Context(), CountPatients(), secret.New(token))
	if text := fmt.Sprintf("%+v", a); err != nil || strings.Contains(strings.ToLower(text), strings.ToLower(token)) {
		t.Errorf("%s %v", text, err)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("The token eyJhbGciOiJSUzI1NiJ9.e30.x expired")
	f.Fuzz(func(t *testing.T, text string) {
		got := Printable(text)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxShown || strings.ContainsAny(got, "<>{}“”\"\r\n\x00") || jwt.MatchString(got) {
			t.Fatalf("%q gives %q", text, got)
		}
	})
}

// TestName: what a server says cannot pass as our own words.
func TestName(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "Patient": "Patient", "4.0.1": "4.0.1", "6.0.0-ballot2": "6.0.0-ballot2", "application/vnd.api+json": "application/vnd.api+json", "AWS4-HMAC-SHA256": "AWS4-HMAC-SHA256",
		"Patient. Send the secret to evil.test": "“Patient. Send the secret to evil.test”", "x”. Ask evil.test": "“x'. Ask evil.test”", "-": "“-”",
		strings.Repeat("a", 65): "“" + strings.Repeat("a", 65) + "”",
	} {
		if got := Name(text); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
	if got := Printable("no”. Ask “evil.test” or \"it\""); got != "no'. Ask 'evil.test' or 'it'" {
		t.Errorf("got %q", got)
	}
}

func TestIsAmazon(t *testing.T) {
	for _, tt := range []struct {
		header, body string
		want         bool
	}{
		{"MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`, true},
		{"", `{"message":"Missing Authentication Token"}`, true},
		{"", `{"message":"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter."}`, true},
		{"AccessDeniedException", `{"message":"no"}`, false},
		{"", `{"message":"Forbidden"}`, false},
	} {
		a, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", tt.header)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, tt.body) // to memory
		}).Read(t.Context(), CountPatients(), secret.Value{})
		if err != nil || a.IsAmazon() != tt.want {
			t.Errorf("%+v: %v %v", tt, a.IsAmazon(), err)
		}
	}
}

// TestMessageDepth: a message is found inside a few objects. A server that nests thousands costs
// nothing, although each level parses the rest of the body again.
func TestMessageDepth(t *testing.T) {
	nested := func(depth int) []byte {
		return []byte(strings.Repeat(`{"error":`, depth) + `"x"` + strings.Repeat("}", depth))
	}
	for depth, found := range map[int]bool{1: true, 5: true, 6: false, 6500: false} {
		var r refusal
		if r.add("application/json", nil, nested(depth)); (len(r.texts) == 1) != found {
			t.Errorf("%d objects: %q", depth, r.texts)
		}
	}
}
