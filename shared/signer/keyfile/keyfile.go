package keyfile

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fhirlink/shared/signer"
)

const bits = 2048

// File implements [signer.Versions]. Whoever needs the key first makes it.
type File struct {
	path string

	mu   sync.Mutex
	key  *rsa.PrivateKey
	made time.Time
}

var _ signer.Versions = (*File)(nil)

// New returns the key in the file at path, which need not exist yet.
func New(path string) *File { return &File{path: path} }

// version is the name of the one version.
const version = "file"

// Versions implements [signer.Versions].
func (f *File) Versions(context.Context) ([]signer.Version, error) {
	key, err := f.load()
	if err != nil {
		return nil, err
	}
	return []signer.Version{{ID: version, Public: &key.PublicKey, CreatedAt: f.made}}, nil
}

// Sign implements [signer.Versions].
func (f *File) Sign(_ context.Context, _ string, digest []byte) ([]byte, error) {
	key, err := f.load()
	if err != nil {
		return nil, err
	}
	return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest)
}

func (f *File) load() (*rsa.PrivateKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key != nil {
		return f.key, nil
	}
	if err := f.read(); !errors.Is(err, fs.ErrNotExist) {
		return f.key, err
	}
	if err := f.make(); err != nil {
		return nil, err
	}
	err := f.read()
	return f.key, err
}

func (f *File) read() error {
	data, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("%w: %w", signer.ErrUnavailable, err)
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("%w: %w", signer.ErrUnavailable, err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%w: %s is no key as PEM: remove it, and a new one is made", signer.ErrUnavailable, f.path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || key.N.BitLen() < bits {
		return fmt.Errorf("%w: %s holds no RSA key of %d bits: remove it, and a new one is made", signer.ErrUnavailable, f.path, bits)
	}
	f.key, f.made = key, info.ModTime()
	return nil
}

// make writes a new key. Of two processes that do so at once, one wins: a link is made for a name that is
// not there yet only.
func (f *File) make() error {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	whole, err := os.CreateTemp(filepath.Dir(f.path), ".signing-key-*") // its mode is 0600
	if err != nil {
		return fmt.Errorf("%w: %w", signer.ErrUnavailable, err)
	}
	defer os.Remove(whole.Name()) //nolint:errcheck // what is left is of no use to anybody
	err = pem.Encode(whole, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	err = errors.Join(err, whole.Sync(), whole.Close())
	if err == nil {
		err = os.Link(whole.Name(), f.path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", signer.ErrUnavailable, err)
	}
	return nil
}
