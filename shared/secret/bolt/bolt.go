package bolt

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"fhirlink/shared/secret"
)

var (
	bucketVersions = []byte("secrets")          // "<name>/<version>" → record
	bucketUsed     = []byte("secrets-used")     // names of deleted secrets, never to be used again
	bucketCheck    = []byte("secrets-keycheck") // one sealed text, which reveals a wrong key
	keyCheck       = []byte("check")
)

// Store implements [secret.Store] in a bbolt file.
type Store struct {
	db   *bbolt.DB
	seal cipher.AEAD
}

// record is one version. Its name and version are authenticated with the sealed value, so that a
// record cannot be moved to another name.
type record struct {
	CreatedAt    time.Time `json:"createdAt"`
	Enabled      bool      `json:"enabled"`
	ExpiresOn    time.Time `json:"expiresOn,omitzero"`
	Slug         string    `json:"slug,omitempty"`
	Organization string    `json:"organization,omitempty"`
	Sealed       []byte    `json:"sealed"`
}

// New returns a store in an open data file; the caller closes the file. New creates keyFile with
// mode 0600 if it does not exist and the data file holds no secrets yet.
func New(db *bbolt.DB, keyFile string) (*Store, error) {
	sealed := false
	err := db.View(func(tx *bbolt.Tx) error {
		sealed = tx.Bucket(bucketCheck) != nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	seal, err := openKey(keyFile, sealed)
	if err != nil {
		return nil, err
	}
	s := &Store{db, seal}
	return s, db.Update(func(tx *bbolt.Tx) error { return s.prepare(tx, keyFile) })
}

// prepare creates the buckets and checks that the key is the one that sealed their content.
func (s *Store) prepare(tx *bbolt.Tx, keyFile string) error {
	for _, name := range [][]byte{bucketVersions, bucketUsed, bucketCheck} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	check := tx.Bucket(bucketCheck)
	sealed := check.Get(keyCheck)
	if sealed == nil {
		return check.Put(keyCheck, s.seal.Seal(nil, nil, keyCheck, bucketCheck))
	}
	if _, err := s.seal.Open(nil, nil, sealed, bucketCheck); err != nil {
		return fmt.Errorf("the key file %s is not the one that sealed this data file: restore the right one, or remove the data file to start with an empty one", keyFile)
	}
	return nil
}

// NewName implements [secret.Namer].
func (s *Store) NewName(kind string) string { return secret.NewName(kind) }

// Get implements [secret.Reader].
func (s *Store) Get(ctx context.Context, name, version string) (v secret.Value, err error) {
	err = s.view(ctx, name, func(tx *bbolt.Tx) error {
		r, err := find(tx, name, version)
		if err != nil {
			return err
		}
		if !r.Enabled {
			return secret.ErrNotFound
		}
		text, err := s.seal.Open(nil, nil, r.Sealed, key(name, version))
		if err != nil {
			return errors.New("its sealed value is damaged")
		}
		v = secret.New(string(text))
		return nil
	})
	return v, err
}

// Put implements [secret.Keeper].
func (s *Store) Put(ctx context.Context, name string, v secret.Value, a secret.Attributes) (string, error) {
	if err := secret.CheckValue(v); err != nil {
		return "", err
	}
	version := newVersion()
	k := key(name, version)
	err := s.update(ctx, name, func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketUsed).Get(prefix(name)) != nil {
			return secret.ErrNameUsed
		}
		r := record{CreatedAt: time.Now().UTC(), Sealed: s.seal.Seal(nil, nil, []byte(v.Reveal()), k)}
		return r.store(tx, k, true, a)
	})
	if err != nil {
		return "", err
	}
	return version, nil
}

// Update implements [secret.Keeper].
func (s *Store) Update(ctx context.Context, name, version string, enabled bool, a secret.Attributes) error {
	return s.update(ctx, name, func(tx *bbolt.Tx) error {
		r, err := find(tx, name, version)
		if err != nil {
			return err
		}
		return r.store(tx, key(name, version), r.Enabled && enabled, a)
	})
}

// Versions implements [secret.Keeper].
func (s *Store) Versions(ctx context.Context, name string) (all []secret.Version, err error) {
	err = s.view(ctx, name, func(tx *bbolt.Tx) error {
		return each(tx, name, func(k, data []byte) error {
			var r record
			if json.Unmarshal(data, &r) != nil {
				return errDamaged
			}
			version := string(k[len(prefix(name)):])
			all = append(all, secret.Version{ID: version, CreatedAt: r.CreatedAt, Enabled: r.Enabled})
			return nil
		})
	})
	return all, err
}

// Delete implements [secret.Keeper]. The name cannot be used again.
func (s *Store) Delete(ctx context.Context, name string) error {
	return s.update(ctx, name, func(tx *bbolt.Tx) error {
		var keys [][]byte
		err := each(tx, name, func(k, _ []byte) error {
			keys = append(keys, bytes.Clone(k))
			return nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, k := range keys {
			if err := tx.Bucket(bucketVersions).Delete(k); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketUsed).Put(prefix(name), []byte(time.Now().UTC().Format(time.RFC3339)))
	})
}

var errDamaged = errors.New("its record is damaged")

func find(tx *bbolt.Tx, name, version string) (record, error) {
	data := tx.Bucket(bucketVersions).Get(key(name, version))
	if data == nil {
		return record{}, secret.ErrNotFound
	}
	var r record
	if json.Unmarshal(data, &r) != nil {
		return record{}, errDamaged
	}
	return r, nil
}

func (r record) store(tx *bbolt.Tx, key []byte, enabled bool, a secret.Attributes) error {
	r.Enabled, r.ExpiresOn, r.Slug, r.Organization = enabled, a.ExpiresOn, a.Slug, a.Organization
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketVersions).Put(key, data)
}

// each calls f with every record of name.
func each(tx *bbolt.Tx, name string, f func(key, data []byte) error) error {
	begin, c := prefix(name), tx.Bucket(bucketVersions).Cursor()
	for k, data := c.Seek(begin); bytes.HasPrefix(k, begin); k, data = c.Next() {
		if err := f(k, data); err != nil {
			return err
		}
	}
	return nil
}

// prefix begins the keys of a name. Names contain no slash and are compared without case.
func prefix(name string) []byte { return []byte(strings.ToLower(name) + "/") }

func key(name, version string) []byte { return append(prefix(name), version...) }

func newVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (s *Store) view(ctx context.Context, name string, f func(*bbolt.Tx) error) error {
	return run(ctx, name, s.db.View, f)
}

func (s *Store) update(ctx context.Context, name string, f func(*bbolt.Tx) error) error {
	return run(ctx, name, s.db.Update, f)
}

// run calls f in a transaction. Every error of the transaction except ErrNotFound and ErrNameUsed
// becomes ErrUnavailable: a closed or full disk, a damaged file.
func run(ctx context.Context, name string, transaction func(func(*bbolt.Tx) error) error, f func(*bbolt.Tx) error) error {
	if err := secret.CheckLocal(name); err != nil {
		return err
	}
	err := ctx.Err()
	if err == nil {
		err = transaction(f)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, secret.ErrNotFound), errors.Is(err, secret.ErrNameUsed):
		return fmt.Errorf("secret %s: %w", name, err)
	}
	return fmt.Errorf("secret %s: %w: %w", name, secret.ErrUnavailable, err)
}
