package webhook

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/secret"
)

// The vector is from the tests of the reference libraries of Standard Webhooks.
func TestSignature(t *testing.T) {
	key, err := decodeKey(secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	if err != nil {
		t.Fatal(err)
	}
	at, body := time.Unix(1614265330, 999_999_999), []byte(`{"test": 2432232314}`)
	const id, want = "msg_p5jXN8AQM9LWM0D4loKWxJek", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := signature([][]byte{key}, id, at, body); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	other := signature([][]byte{key[1:]}, id, at, body)
	if got := signature([][]byte{key, key[1:]}, id, at, body); got != want+" "+other || other == want {
		t.Errorf("of two keys: %s", got)
	}
}

func TestNewKey(t *testing.T) {
	a, b := newKey(), newKey()
	key, err := decodeKey(a)
	if err != nil || len(key) != keyBytes || a.Equal(b) {
		t.Errorf("%d bytes, %v, equal: %v", len(key), err, a.Equal(b))
	}
}

func TestDecodeKeyRefuses(t *testing.T) {
	encode := func(n int) string { return keyPrefix + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), n)) }
	for _, text := range []string{"", "whsec_", encode(23), encode(65), encode(32)[1:], "WHSEC_" + encode(32)[6:], encode(32) + "=", strings.ReplaceAll(encode(32), "a", "-")} {
		if _, err := decodeKey(secret.New(text)); err == nil {
			t.Errorf("%q is accepted", text)
		} else if len(text) > 10 && strings.Contains(err.Error(), text[6:]) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
	for _, n := range []int{24, 32, 64} {
		if key, err := decodeKey(secret.New(encode(n))); err != nil || len(key) != n {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	f.Add("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := decodeKey(secret.New(text))
		if err == nil && (len(key) < minKeyBytes || len(key) > maxKeyBytes || !strings.HasPrefix(text, keyPrefix)) {
			t.Errorf("%q is accepted", text)
		}
	})
}
