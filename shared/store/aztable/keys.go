package aztable

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
	"time"

	"fhirlink/shared/link"
)

// shards is the number of partitions that links are spread over. It can never change: a row
// would not be found any more. TestPartitionOf holds it and the hash.
const shards = 64

// maxDue is the greatest time that a key of the index can hold: in the year 2286.
const maxDue = 9_999_999_999_999_999

// keys is what a slug or an organization must look like to be part of a key. It leaves out
// what Table Storage forbids (/ \ # ? and control characters) and the quote, which the SDK
// doubles in some places and not in others.
var keys = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func checkKey(what, s string) error {
	if !keys.MatchString(s) {
		return fmt.Errorf("%.80q cannot be a %s: it must be 1 to 128 of the characters A-Z, a-z, 0-9, '.', '_', '-' and begin with a letter or digit", s, what)
	}
	return nil
}

func partition(shard uint32) string { return fmt.Sprintf("s%02x", shard) }

func partitionOf(slug link.Slug) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(slug)) // a hash has no error
	return partition(h.Sum32() % shards)
}

func linkKey(slug link.Slug) string { return "L_" + string(slug) }

// dueKey sorts by time. A time before 1970 counts as 1970: it has long come.
func dueKey(due time.Time, slug link.Slug) string {
	return dueBound(due.UnixMicro()) + "_" + string(slug)
}

func dueBound(micro int64) string { return fmt.Sprintf("X_%016d", min(max(micro, 0), maxDue)) }

// dueSlug reads the slug out of a key that dueKey wrote.
func dueSlug(key string) (link.Slug, error) {
	n := len(dueBound(0))
	if !strings.HasPrefix(key, "X_") || len(key) < n+2 || key[n] != '_' {
		return "", fmt.Errorf("the index of due links has the row %.80q, which names no slug: remove it from the table", key)
	}
	return link.Slug(key[n+1:]), nil
}

func trailPartition(organization string, slug link.Slug) string {
	return "e" + organization + "_" + string(slug)
}

func rosterPartition(organization string) string { return "o" + organization }
