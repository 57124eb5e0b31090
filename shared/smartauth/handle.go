package smartauth

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

// kind is what a short-lived row holds.
type kind string

// The kinds of short-lived rows.
const (
	requests kind = "r" // an app's request, while the user is at Entra
)

const (
	bucketWidth = 10 * time.Minute
	bucketBytes = 4
	handleBytes = bucketBytes + 20 // of which 160 bits are random
)

// handle is the name of a short-lived row that only its holder knows: 32 characters of base64url. It
// begins with the time at which the row ends, so that every row is found by a point read, and whole
// partitions can be removed when their time is over. The table has the handle's SHA-256 only, and what
// the row holds is sealed under the handle: a copy of the table opens nothing.
type handle string

// Format implements [fmt.Formatter]: a handle never prints itself.
func (handle) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// LogValue implements [slog.LogValuer].
func (handle) LogValue() slog.Value { return slog.StringValue("[redacted]") }

func newHandle(ends time.Time) handle {
	var b [handleBytes]byte
	binary.BigEndian.PutUint32(b[:], uint32(ends.Unix()/int64(bucketWidth/time.Second))) //nolint:gosec // until the year 83,000
	_, _ = rand.Read(b[bucketBytes:])                                                    // never fails
	return handle(base64.RawURLEncoding.EncodeToString(b[:]))
}

// key is where the row is. ok is false for a text that cannot be a handle.
func (h handle) key(of kind) (k store.Key, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(h))
	if err != nil || len(b) != handleBytes || base64.RawURLEncoding.EncodedLen(handleBytes) != len(h) {
		return store.Key{}, false
	}
	sum := sha256.Sum256([]byte(h))
	return store.Key{
		Partition: fmt.Sprintf("t%08x-%x", binary.BigEndian.Uint32(b), sum[0]>>4), // 16 shards of each bucket
		Name:      string(of) + "_" + base64.RawURLEncoding.EncodeToString(sum[:]),
	}, true
}

// short is a short-lived row.
type short struct {
	Link string // id of the link that it belongs to
	Used bool   `json:",omitzero"` // it has done its work, and stays to tell a replay from a stranger
	Box  string // sealed under the handle
}

var (
	// errUnknownHandle means that there is no such row: it never was, is another link's, or has ended.
	errUnknownHandle = errors.New("no row has this handle")
	// errEnded means that the row's time is over.
	errEnded = errors.New("the row has ended")
	// errUsed means that the row has done its work before.
	errUsed = errors.New("the row was used before")
)

// use is what a box is sealed for: nobody opens it without the handle, nor as the row of another link.
func (h handle) use(of kind, linkID string) string {
	return "smart " + string(of) + " " + linkID + " " + string(h)
}

// keep stores a value under a handle until a time.
func keep[T any](ctx context.Context, s *Service, of kind, h handle, linkID string, until time.Time, value T) error {
	k, _ := h.key(of) // it was made here
	box, err := seal.Seal(ctx, s.Sealer, h.use(of, linkID), until, value)
	if err != nil {
		return unavailable(err)
	}
	switch swapped, err := s.swap(ctx, store.Row{Key: k}, short{Link: linkID, Box: box}); {
	case err != nil:
		return err
	case !swapped: // 160 random bits
		return errors.New("a handle was made twice")
	}
	return nil
}

// look returns what is kept under a handle of a link. Errors: errUnknownHandle, errUsed or errEnded
// (then the value is returned too), UpstreamUnavailable.
func look[T any](ctx context.Context, s *Service, of kind, h handle, linkID string) (value T, row store.Row, err error) {
	k, ok := h.key(of)
	if !ok {
		return value, row, errUnknownHandle
	}
	row, err = s.Rows.Row(ctx, k)
	var kept short
	if err == nil {
		err = decode(row, &kept)
	}
	if err != nil {
		return value, row, unavailable(err)
	}
	if kept.Link != linkID {
		return value, row, errUnknownHandle
	}
	value, _, err = seal.Open[T](ctx, s.Sealer, h.use(of, linkID), kept.Box)
	switch {
	case errors.Is(err, seal.ErrInvalid):
		return value, row, errUnknownHandle
	case err != nil && !errors.Is(err, seal.ErrEnded):
		return value, row, unavailable(err)
	case kept.Used:
		return value, row, errUsed
	case err != nil:
		return value, row, errEnded
	}
	return value, row, nil
}

// spend marks a row as used. Of several callers exactly one succeeds. Errors: errUsed,
// UpstreamUnavailable.
func (s *Service) spend(ctx context.Context, row store.Row) error {
	var kept short
	if err := decode(row, &kept); err != nil {
		return err
	}
	kept.Used = true
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	_, swapped, err := s.Rows.Swap(ctx, row, string(data))
	switch {
	case err != nil:
		return unavailable(err)
	case !swapped:
		return errUsed
	}
	return nil
}

// cookieName is the name of the cookie that binds a request to its browser. Each request has its own, so
// that two tabs do not disturb each other.
func cookieName(h handle) string { return "__Host-smart-" + string(h[max(0, len(h)-8):]) }
