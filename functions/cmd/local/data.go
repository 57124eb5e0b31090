package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The files in the data folder.
const (
	databaseFile = "fhirlink.db"         // links, and the sealed secrets
	keyFile      = "secret.key"          // the key that seals the secrets
	sinkFile     = "notifications.jsonl" // what the sandbox received
)

// lockWait is how long a start waits for another process to release the folder: long enough for
// one that is just being stopped.
const lockWait = 2 * time.Second

// openData makes the folder, readable by its owner only, and locks its database.
func openData(folder string) (*bbolt.DB, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("-data: the folder %s cannot be made: %w", folder, err)
	}
	file := filepath.Join(folder, databaseFile)
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: lockWait})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("another process uses the data folder %s. Stop it, or name another folder with -data", folder)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%s is not a database of this program, or is damaged. Name another folder with -data, or remove this one to start with an empty one", file)
	case err != nil:
		return nil, fmt.Errorf("-data: %s cannot be opened: %w", file, err)
	}
	return db, nil
}
