package aztable

import (
	"fmt"
	"hash/fnv"
	"regexp"

	"fhirlink/shared/link"
)

// shards is the number of partitions for links and their schedule. It must never change, or
// existing rows would not be found. TestPartitionOf pins this number and the hash.
const shards = 64

// keys is the format of a part of a key: a slug, an organization, an ID. It excludes what Table
// Storage forbids (/ \ # ? and control characters) and the quote, which the SDK doubles in some
// places only.
var keys = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func checkKey(what, s string) error {
	if !keys.MatchString(s) {
		return fmt.Errorf("%.80q cannot be a %s: it must be 1 to 128 of the characters A-Z, a-z, 0-9, '.', '_', '-' and begin with a letter or digit", s, what)
	}
	return nil
}

// checkEntry checks the organization and the slug in a key of the roster or the trail.
func checkEntry(organization string, slug link.Slug) error {
	if err := checkKey("organization", organization); err != nil {
		return err
	}
	return checkKey("slug", string(slug))
}

func partition(shard uint32) string { return fmt.Sprintf("s%02x", shard) }

func partitionOf(slug link.Slug) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(slug)) // a hash returns no error
	return partition(h.Sum32() % shards)
}
