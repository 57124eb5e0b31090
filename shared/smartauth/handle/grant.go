package handle

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"fhirlink/shared/store"
)

const (
	day        = 24 * time.Hour
	grantBytes = 16
)

// Grant names a grant. It begins with the day on which the grant ends, so that whole partitions can be
// removed when their time is over. It is no secret: nobody can do anything with it.
type Grant struct {
	day uint32           // since 1970
	id  [grantBytes]byte // follows from the code that led to the grant
}

// GrantOf names the grant that a code leads to, which ends at a time or before. A code that is exchanged once more
// because the first try was cut short leads to the same grant. The name tells nothing of the code.
func GrantOf(code Handle, ends time.Time) (g Grant) {
	g.day = uint32(ends.Unix() / int64(day/time.Second)) //nolint:gosec // until the year 11,000,000
	sum := sha256.Sum256([]byte("smart grant of the code " + code))
	copy(g.id[:], sum[:])
	return g
}

// String is the name as access tokens have it.
func (g Grant) String() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, g.day), g.id[:]...))
}

// ReadGrant reads what String has written.
func ReadGrant(text string) (g Grant, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != 4+grantBytes || base64.RawURLEncoding.EncodedLen(len(b)) != len(text) { // the decoder skips line ends
		return g, false
	}
	g.day = binary.BigEndian.Uint32(b)
	copy(g.id[:], b[4:])
	return g, true
}

// Key is where the grant is.
func (g Grant) Key() store.Key {
	sum := sha256.Sum256(g.id[:])
	return store.Key{
		Partition: fmt.Sprintf("g%08x-%x", g.day, sum[0]>>4), // 16 shards of each day
		Name:      "g_" + base64.RawURLEncoding.EncodeToString(sum[:]),
	}
}

// Index is where the grant stands in the list of a user's grants at a link.
func (g Grant) Index(slug, objectID string) store.Key {
	sum := sha256.Sum256([]byte(objectID))
	return store.Key{
		Partition: fmt.Sprintf("u%s_%08x", slug, g.day),
		Name:      base64.RawURLEncoding.EncodeToString(sum[:15]) + "_" + g.String(),
	}
}
