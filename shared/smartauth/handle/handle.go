package handle

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"fhirlink/shared/seal"
	"fhirlink/shared/store"
)

// Kind is what a short-lived row holds.
type Kind string

// The kinds of short-lived rows.
const (
	Request   Kind = "r" // an app's request, while the user is at Entra
	Code      Kind = "c" // an authorization code
	Assertion Kind = "j" // a client assertion that was presented
	Launch    Kind = "l" // what an EHR opens an app for
)

const (
	bucketWidth = 10 * time.Minute
	bucketBytes = 4
	handleBytes = bucketBytes + 20 // of which 160 bits are random
)

// Handle is the name of a short-lived row that only its holder knows: 32 characters of base64url. It
// begins with the time at which the row ends, so that every row is found by a point read, and whole
// partitions can be removed when their time is over. The table has the handle's SHA-256 only, and what
// the row holds is sealed under the handle: a copy of the table opens nothing.
type Handle string

// Format implements [fmt.Formatter]: a handle never prints itself.
func (Handle) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// LogValue implements [slog.LogValuer].
func (Handle) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// New returns a handle of a row that ends at a time.
func New(ends time.Time) Handle {
	var b [handleBytes]byte
	binary.BigEndian.PutUint32(b[:], bucketOf(ends))
	_, _ = rand.Read(b[bucketBytes:]) // never fails
	return Handle(base64.RawURLEncoding.EncodeToString(b[:]))
}

// bucketOf is the bucket of a time.
func bucketOf(t time.Time) uint32 {
	return uint32(t.Unix() / int64(bucketWidth/time.Second)) //nolint:gosec // until the year 83,000
}

// key is where the row is. ok is false for a text that cannot be a handle.
func (h Handle) key(of Kind) (k store.Key, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(h))
	if err != nil || len(b) != handleBytes || base64.RawURLEncoding.EncodedLen(handleBytes) != len(h) {
		return store.Key{}, false
	}
	return keyOf(of, string(h), binary.BigEndian.Uint32(b)), true
}

// keyOf is where a row with a name is, among 16 shards of each bucket.
func keyOf(of Kind, name string, bucket uint32) store.Key {
	sum := sha256.Sum256([]byte(name))
	return store.Key{
		Partition: fmt.Sprintf("t%08x-%x", bucket, sum[0]>>4),
		Name:      string(of) + "_" + base64.RawURLEncoding.EncodeToString(sum[:]),
	}
}

// Valid reports whether a text can be a handle.
func (h Handle) Valid() bool {
	_, ok := h.key(Request)
	return ok
}

// Over reports whether the time of a row is over that has been removed since. It says nothing of a text
// that cannot be a handle.
func (h Handle) Over(now time.Time) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(h))
	if err != nil || len(b) != handleBytes {
		return false
	}
	bucket := int64(binary.BigEndian.Uint32(b))
	return bucket > 0 && bucket < now.Unix()/int64(bucketWidth/time.Second)
}

// Store is where short-lived rows are.
type Store struct {
	Rows   store.Rows
	Sealer *seal.Sealer
}

// short is a short-lived row.
type short struct {
	Link string // id of the link that it belongs to
	Used bool   `json:",omitzero"` // it has done its work, and stays to tell a replay from a stranger
	Left string `json:",omitzero"` // what its use has led to
	Box  string // sealed under the handle
}

var (
	// ErrUnknown means that there is no such row: it never was, is another link's, or has ended.
	ErrUnknown = errors.New("no row has this handle")
	// ErrEnded means that the row's time is over.
	ErrEnded = errors.New("the row has ended")
	// ErrUsed means that the row has done its work before.
	ErrUsed = errors.New("the row was used before")
)

// use is what a box is sealed for: nobody opens it without the handle, nor as the row of another link.
func (h Handle) use(of Kind, linkID string) string {
	return "smart " + string(of) + " " + linkID + " " + string(h)
}

// Keep stores a value under a handle until a time.
func Keep[T any](ctx context.Context, s Store, of Kind, h Handle, linkID string, until time.Time, value T) error {
	k, _ := h.key(of) // it was made here
	box, err := seal.Seal(ctx, s.Sealer, h.use(of, linkID), until, value)
	if err != nil {
		return err
	}
	data, err := json.Marshal(short{Link: linkID, Box: box})
	if err != nil {
		return err
	}
	switch _, swapped, err := s.Rows.Swap(ctx, store.Row{Key: k}, string(data)); {
	case err != nil:
		return err
	case !swapped: // 160 random bits
		return errors.New("a handle was made twice")
	}
	return nil
}

// Look returns what is kept under a handle of a link. Errors: ErrUnknown, ErrUsed or ErrEnded
// (then the value is returned too), and those of the store and of the sealing keys.
func Look[T any](ctx context.Context, s Store, of Kind, h Handle, linkID string) (value T, row store.Row, err error) {
	k, ok := h.key(of)
	if !ok {
		return value, row, ErrUnknown
	}
	row, err = s.Rows.Row(ctx, k)
	if err != nil {
		return value, row, err
	}
	kept, err := decode(row)
	if err != nil {
		return value, row, err
	}
	if kept.Link != linkID {
		return value, row, ErrUnknown
	}
	value, _, err = seal.Open[T](ctx, s.Sealer, h.use(of, linkID), kept.Box)
	switch {
	case errors.Is(err, seal.ErrInvalid):
		return value, row, ErrUnknown
	case err != nil && !errors.Is(err, seal.ErrEnded):
		return value, row, err
	case kept.Used:
		return value, row, ErrUsed
	case err != nil:
		return value, row, ErrEnded
	}
	return value, row, nil
}

// Once notes that a name is used which counts once until a time, and reports whether this was the first
// use. The error is that of the store.
func (s Store) Once(ctx context.Context, of Kind, name string, until time.Time) (first bool, err error) {
	data, err := json.Marshal(short{Used: true})
	if err != nil {
		return false, err
	}
	_, first, err = s.Rows.Swap(ctx, store.Row{Key: keyOf(of, name, bucketOf(until))}, string(data))
	return first, err
}

// Spend marks a row as used, and leaves what that has led to for Left. Of several callers exactly one
// succeeds. Errors: ErrUsed, and those of the store.
func (s Store) Spend(ctx context.Context, row store.Row, left string) error {
	kept, err := decode(row)
	if err != nil {
		return err
	}
	kept.Used, kept.Left = true, left
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	_, swapped, err := s.Rows.Swap(ctx, row, string(data))
	switch {
	case err != nil:
		return err
	case !swapped:
		return ErrUsed
	}
	return nil
}

// Left is what the use of a row has led to.
func Left(row store.Row) string {
	kept, err := decode(row)
	if err != nil {
		return ""
	}
	return kept.Left
}

// decode reads the value of a row; of one that is not there it reads nothing.
func decode(row store.Row) (kept short, err error) {
	if row.Version == "" {
		return kept, nil
	}
	if err := json.Unmarshal([]byte(row.Value), &kept); err != nil {
		return kept, fmt.Errorf("the row %s in %s cannot be read, remove it: %w", row.Name, row.Partition, err)
	}
	return kept, nil
}

// Cookie is the name of the cookie that binds a request to its browser. Each request has its own, so
// that two tabs do not disturb each other.
func (h Handle) Cookie() string { return "__Host-smart-" + string(h[max(0, len(h)-8):]) }
