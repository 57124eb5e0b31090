package signertest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"sync"
	"time"

	"fhirlink/shared/signer"
)

// Key implements [signer.Versions] in memory. The zero Key has no version.
type Key struct {
	mu       sync.Mutex
	versions []signer.Version
	keys     map[string]*rsa.PrivateKey
	err      error
	reads    int
}

// one is a private key that several Keys may have, because making one is slow.
var one = sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // no randomness
	}
	return key
}

// New returns a Key with one version, which is the same in every Key that New returns.
func New() *Key {
	k := &Key{}
	k.add("1", time.Now().Add(-time.Hour), one())
	return k
}

// Add adds a version that was made at a time.
func (k *Key) Add(version string, at time.Time) { k.add(version, at, newKey()) }

func (k *Key) add(version string, at time.Time, key *rsa.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[string]*rsa.PrivateKey{}
	}
	k.keys[version] = key
	k.versions = append(k.versions, signer.Version{ID: version, Public: &key.PublicKey, CreatedAt: at})
}

// Remove removes a version.
func (k *Key) Remove(version string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.versions = slices.DeleteFunc(slices.Clone(k.versions), func(v signer.Version) bool { return v.ID == version })
	delete(k.keys, version)
}

// Fail makes every call fail with an error, until it is nil.
func (k *Key) Fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

// Reads is how often Versions was called.
func (k *Key) Reads() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reads
}

// Versions implements [signer.Versions].
func (k *Key) Versions(context.Context) ([]signer.Version, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	return slices.Clone(k.versions), k.err
}

// Sign implements [signer.Versions].
func (k *Key) Sign(_ context.Context, version string, digest []byte) ([]byte, error) {
	k.mu.Lock()
	key, err := k.keys[version], k.err
	k.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case key == nil:
		return nil, signer.ErrUnavailable
	}
	return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest)
}
