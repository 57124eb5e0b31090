package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link"
)

// rosterBucket maps organization and slug → receipt.
var rosterBucket = []byte("links.roster")

// Enroll implements [link.Roster].
func (s *Store) Enroll(ctx context.Context, organization string, slug link.Slug) (receipt string, err error) {
	if organization == "" || strings.Contains(organization, "\x00") {
		return "", fmt.Errorf("%q cannot be an organization", organization)
	}
	receipt = rand.Text()
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(rosterBucket).Put(rosterKey(organization, slug), []byte(receipt))
	})
	if err != nil {
		return "", err
	}
	return receipt, nil
}

// Receipt implements [link.Roster].
func (s *Store) Receipt(ctx context.Context, organization string, slug link.Slug) (receipt string, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		receipt = string(tx.Bucket(rosterBucket).Get(rosterKey(organization, slug)))
		return nil
	})
	return receipt, err
}

// Withdraw implements [link.Roster].
func (s *Store) Withdraw(ctx context.Context, organization string, slug link.Slug, receipt string) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		b, key := tx.Bucket(rosterBucket), rosterKey(organization, slug)
		if string(b.Get(key)) != receipt {
			return nil
		}
		return b.Delete(key)
	})
}

// Slugs implements [link.Roster].
func (s *Store) Slugs(ctx context.Context, organization string, after link.Slug, limit int) (slugs []link.Slug, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		prefix, start := rosterKey(organization, ""), rosterKey(organization, after)
		c := tx.Bucket(rosterBucket).Cursor()
		for k, _ := c.Seek(start); len(slugs) < limit && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			if slug := link.Slug(k[len(prefix):]); slug > after {
				slugs = append(slugs, slug)
			}
		}
		return nil
	})
	return slugs, err
}

// rosterKey groups the entries of an organization, apart from those of all others.
func rosterKey(organization string, slug link.Slug) []byte {
	return []byte(organization + "\x00" + string(slug))
}
