package entra

import "testing"

// FuzzParseKeys: every key that is kept can verify a signature, whatever the authority publishes.
func FuzzParseKeys(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[{"kty":"RSA","use":"sig","kid":"k","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"EC","kid":"k"},null,1]}`, `{"keys":{}}`, `[]`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for id, k := range parseKeys(body) {
			if id == "" || k.public == nil || k.public.N.BitLen() < minKeyBits || k.public.E < 3 {
				t.Errorf("%q: %+v", id, k)
			}
		}
	})
}
