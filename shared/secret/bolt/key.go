package bolt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const keyBytes = 32 // AES-256

// readKey reads a key file: base64 of 32 bytes. Only its owner may have access.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkPrivate(f); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != keyBytes {
		return nil, fmt.Errorf("%s is not a key file: it must hold %d bytes in base64. Restore it from where the data came from", path, keyBytes)
	}
	return key, nil
}

// checkPrivate refuses a key that other users could have read. Windows has no such mode bits.
func checkPrivate(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.Name())
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the key file %s can be read by others (mode %04o): run chmod 600 on it, and change the client secrets if somebody else may have read it", f.Name(), info.Mode().Perm())
	}
	return nil
}

// createKey writes a new key file. The file is complete and on the disk before it gets its name.
// So no secret is ever sealed with a key that a crash destroys.
func createKey(path string) (key []byte, err error) {
	key = make([]byte, keyBytes)
	_, _ = rand.Read(key)                                                     // never fails
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	return key, syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename durable. Windows cannot sync folders and does not need it.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// openKey reads the key file, or creates it if it does not exist and nothing was sealed yet.
func openKey(path string, sealed bool) (cipher.AEAD, error) {
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if sealed {
			return nil, fmt.Errorf("the key file %s is missing, and the secrets in the data file cannot be read without it: restore it, or remove the data file to start with an empty one", path)
		}
		key, err = createKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
