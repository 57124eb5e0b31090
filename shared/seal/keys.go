package seal

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/flight"
	"fhirlink/shared/secret"
)

const (
	idBytes     = 8
	keysFresh   = time.Hour        // older keys are read again
	keysStale   = 24 * time.Hour   // older keys are not used
	keysPause   = 30 * time.Second // between readings that an unknown key id, or a failure, causes
	keysTimeout = 10 * time.Second
	keysWait    = 2 * time.Second // for newer keys, while there are older ones
)

// Versions is where the sealing keys are: one secret, whose enabled versions they are. Every
// secret.Store is one.
type Versions interface {
	// Versions lists all versions of name, none if the name does not exist.
	Versions(ctx context.Context, name string) ([]secret.Version, error)
	// Get returns one enabled version. Errors: secret.ErrNotFound, secret.ErrUnavailable.
	Get(ctx context.Context, name, version string) (secret.Value, error)
	// Put adds a version and returns its id.
	Put(ctx context.Context, name string, v secret.Value, a secret.Attributes) (version string, err error)
}

// KeyID names a sealing key in the values that it has sealed.
type KeyID [idBytes]byte

// idOf derives the id from the version's id in the store, whose length depends on the store.
func idOf(version string) KeyID {
	sum := sha256.Sum256([]byte("fhirlink sealing key " + version))
	return KeyID(sum[:idBytes])
}

// key is one sealing key. Its secret is the 32 bytes themselves.
type key struct {
	id      KeyID
	version string
	created time.Time
	secret  secret.Value
}

// Keys are the sealing keys. They are read when they are first needed, then hourly, and when a value
// names a key that is not known, at most every 30 s. If the secret does not exist, whoever needs it
// first makes its first version. Instances that do so at the same time make one each: all of them
// open, the newest seals, and each instance learns of the others' when it meets a value of theirs.
//
// While the store is down, keys that were read less than a day ago go on working. An error is then in
// the log only. Otherwise it is one that contains secret.ErrUnavailable.
type Keys struct {
	name     string
	versions Versions
	now      func() time.Time
	log      *slog.Logger
	kept     flight.Kept[[]key] // newest first
}

// NewKeys returns the keys that are the versions of the secret with this name. It reads nothing. now
// may be nil.
func NewKeys(name string, versions Versions, now func() time.Time, log *slog.Logger) *Keys {
	if now == nil {
		now = time.Now
	}
	k := &Keys{name: name, versions: versions, now: now, log: log}
	k.kept = flight.Kept[[]key]{Read: k.read, Fresh: keysFresh, Stale: keysStale, Pause: keysPause, Timeout: keysTimeout, Wait: keysWait, Now: now}
	return k
}

// newest returns the key that seals.
func (k *Keys) newest(ctx context.Context) (key, error) {
	keys, err := k.kept.Get(ctx)
	if err != nil {
		return key{}, unavailable(err)
	}
	return keys[0], nil
}

// find returns the key with this id. Error: ErrInvalid if there is none.
func (k *Keys) find(ctx context.Context, wanted KeyID) (key, error) {
	keys, err := k.kept.Get(ctx)
	if err != nil {
		return key{}, unavailable(err)
	}
	if found, ok := pick(keys, wanted); ok {
		return found, nil
	}
	if newer, read, failed := k.kept.Search(ctx); read {
		keys, err = newer, failed
	} else {
		err = k.kept.Failure()
	}
	if err != nil {
		return key{}, unavailable(err) // it may be a key of ours: nobody shall be signed out because the store is down
	}
	if found, ok := pick(keys, wanted); ok {
		return found, nil
	}
	return key{}, ErrInvalid
}

func pick(keys []key, wanted KeyID) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.id == wanted })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// read is load, with its failures in the log.
func (k *Keys) read(ctx context.Context) ([]key, error) {
	keys, err := k.load(ctx)
	if err != nil {
		k.log.WarnContext(ctx, "seal.unread", "secret", k.name, "cause", err.Error())
	}
	return keys, err
}

// load reads every enabled version. A version never changes, so those that are known are not read
// again.
func (k *Keys) load(ctx context.Context) ([]key, error) {
	listed, err := k.versions.Versions(ctx, k.name)
	if err == nil && len(listed) == 0 {
		listed, err = k.first(ctx)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	before := k.kept.Last()
	var keys []key
	for _, v := range listed {
		if !v.Enabled {
			continue
		}
		if known, ok := pick(before, idOf(v.ID)); ok {
			keys = append(keys, known)
			continue
		}
		value, err := k.versions.Get(ctx, k.name, v.ID)
		if errors.Is(err, secret.ErrNotFound) { // disabled since it was listed
			continue
		}
		if err != nil {
			return nil, unavailable(err)
		}
		raw, ok := decode(value)
		if !ok {
			k.log.WarnContext(ctx, "seal.malformed", "secret", k.name, "version", v.ID, "fix", "disable this version, and add one of 32 random bytes in base64url")
			continue
		}
		keys = append(keys, key{idOf(v.ID), v.ID, v.CreatedAt, raw})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: the secret %s has no enabled version that is a sealing key: add a version of 32 random bytes in base64url", secret.ErrUnavailable, k.name)
	}
	// Every instance must find the same order: versions of the same second are ordered by their ids.
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(b.created.Compare(a.created), strings.Compare(b.version, a.version))
	})
	return keys, nil
}

// first makes the first version and lists the versions again, because another instance may have made
// one at the same time. If the list does not have ours yet, it is added.
func (k *Keys) first(ctx context.Context) ([]secret.Version, error) {
	random := make([]byte, keyBytes)
	_, _ = rand.Read(random) // never fails
	made, err := k.versions.Put(ctx, k.name, secret.New(base64.RawURLEncoding.EncodeToString(random)), secret.Attributes{})
	if err != nil {
		return nil, err
	}
	k.log.InfoContext(ctx, "seal.made", "secret", k.name, "version", made)
	listed, err := k.versions.Versions(ctx, k.name)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(listed, func(v secret.Version) bool { return v.ID == made }) {
		listed = append(listed, secret.Version{ID: made, CreatedAt: k.now().UTC().Truncate(time.Second), Enabled: true})
	}
	return listed, nil
}

// unavailable makes every failure of the store one that callers wait for.
func unavailable(err error) error {
	if errors.Is(err, secret.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("reading the sealing keys: %w: %w", secret.ErrUnavailable, err)
}

// decode reads 32 bytes in base64url, with or without padding.
func decode(v secret.Value) (secret.Value, bool) {
	raw, err := text.DecodeString(strings.TrimRight(strings.TrimSpace(v.Reveal()), "="))
	return secret.New(string(raw)), err == nil && len(raw) == keyBytes
}
