package seal

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxBytes is the longest sealed text that is opened.
const MaxBytes = 32 << 10

const (
	form       = 1
	saltBytes  = 16
	keyBytes   = 32 // AES-256
	nonceBytes = 12
	tagBytes   = 16
	headBytes  = 1 + idBytes + saltBytes
	endBytes   = 8
)

var (
	// ErrInvalid means that a text is not a value that this deployment has sealed for this use with a
	// key that is still enabled.
	ErrInvalid = errors.New("not a value that was sealed here for this use")
	// ErrEnded means that the value was sealed here, and that its time is over.
	ErrEnded = errors.New("the sealed value has ended")
)

// text is base64url. Strict, so that each value has one text only.
var text = base64.RawURLEncoding.Strict()

// Sealer seals and opens the values of one deployment.
type Sealer struct {
	Keys      *Keys
	PublicURL string           // of the deployment: what another one has sealed is not opened
	Now       func() time.Time // nil: time.Now
}

func (s *Sealer) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Seal returns value, as JSON, sealed for a use until the given time, which is kept in whole
// seconds. The error is that of the value's JSON, or one of [Keys].
func Seal[T any](ctx context.Context, s *Sealer, use string, until time.Time, value T) (string, error) {
	var plain bytes.Buffer
	plain.Write(binary.BigEndian.AppendUint64(nil, uint64(until.Unix())))
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false) // no page shows it, and & would become six bytes
	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("a value cannot be sealed for %s: %w", use, err)
	}
	k, err := s.Keys.newest(ctx)
	if err != nil {
		return "", err
	}
	head := make([]byte, headBytes)
	head[0] = form
	copy(head[1:], k.id[:])
	_, _ = rand.Read(head[1+idBytes:]) // never fails
	aead, nonce := s.cipher(k, use, head)
	sealed := text.EncodeToString(aead.Seal(head, nonce, bytes.TrimSuffix(plain.Bytes(), []byte("\n")), s.associated(use, head)))
	if len(sealed) > MaxBytes {
		return "", fmt.Errorf("a value cannot be sealed: it takes %d bytes, and %d are opened", len(sealed), MaxBytes)
	}
	return sealed, nil
}

// Open returns the value that was sealed for this use, and until when it is valid. Errors: ErrInvalid,
// ErrEnded (then the value is returned too), and those of [Keys].
func Open[T any](ctx context.Context, s *Sealer, use, sealed string) (value T, until time.Time, err error) {
	plain, err := s.open(ctx, use, sealed)
	if err != nil {
		return value, until, err
	}
	until = time.Unix(int64(binary.BigEndian.Uint64(plain)), 0).UTC()
	if json.Unmarshal(plain[endBytes:], &value) != nil {
		var none T
		return none, time.Time{}, ErrInvalid // sealed by a program that kept something else for this use
	}
	if !s.now().Before(until) {
		return value, until, ErrEnded
	}
	return value, until, nil
}

func (s *Sealer) open(ctx context.Context, use, sealed string) ([]byte, error) {
	if len(sealed) > MaxBytes {
		return nil, ErrInvalid
	}
	data, err := text.DecodeString(sealed)
	if err != nil || len(data) < headBytes+endBytes+tagBytes || data[0] != form || text.EncodedLen(len(data)) != len(sealed) { // the decoder skips line ends
		return nil, ErrInvalid
	}
	head, body := data[:headBytes], data[headBytes:]
	k, err := s.Keys.find(ctx, KeyID(head[1:1+idBytes]))
	if err != nil {
		return nil, err
	}
	aead, nonce := s.cipher(k, use, head)
	plain, err := aead.Open(nil, nonce, body, s.associated(use, head))
	if err != nil {
		return nil, ErrInvalid
	}
	return plain, nil
}

// cipher derives key and nonce of one value: of the sealing key, the salt in head, and the use.
func (s *Sealer) cipher(k key, use string, head []byte) (cipher.AEAD, []byte) {
	derived, err := hkdf.Key(sha256.New, []byte(k.secret.Reveal()), head[1+idBytes:], "fhirlink seal 1 "+use, keyBytes+nonceBytes)
	if err != nil {
		panic(err) // the length is far below HKDF's limit
	}
	block, err := aes.NewCipher(derived[:keyBytes])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the cipher is AES
	}
	return aead, derived[keyBytes:]
}

func (s *Sealer) associated(use string, head []byte) []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s", head, s.PublicURL, use)
}
