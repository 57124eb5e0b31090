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

// What the data folder holds.
const (
	databaseFile = "fhirlink.db"         // links, and the sealed secrets
	keyFile      = "secret.key"          // what the secrets are sealed with
	sinkFile     = "notifications.jsonl" // what the sandbox was told
)

// lockWait is how long a start waits for another process to let go of the folder: long enough
// for one that is just being stopped.
const lockWait = 2 * time.Second

// openData makes the folder, for nobody else to read, and takes its one file.
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
		return nil, fmt.Errorf("%s is not a database of this program, or is damaged. Name another folder with -data, or remove this one to start anew", file)
	case err != nil:
		return nil, fmt.Errorf("-data: %s cannot be opened: %w", file, err)
	}
	return db, nil
}
