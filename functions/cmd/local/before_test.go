package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"fhirlink/functions/cmd/internal/beforetest"
	"fhirlink/shared/config"
)

// TestBefore starts the program over a data folder that an earlier version wrote.
func TestBefore(t *testing.T) {
	folder := dataBefore(t)
	r := beforetest.Answers(t, "local-answers.json")
	var last *instance
	beforetest.Check(t, r, func(t *testing.T, at time.Time) beforetest.Program {
		if last != nil {
			last.stop()
		}
		last = startAt(t, folder, at)
		return beforetest.Program{URL: last.URL, Sweep: last.sweep.Run}
	})
	last.stop()
	beforetest.CheckSecrets(t, secretNames(t, folder))
}

// dataBefore unpacks the data folder of an earlier version.
func dataBefore(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	unzipped, err := gzip.NewReader(bytes.NewReader(beforetest.File(t, "local.tar.gz")))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return folder
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(header.Name)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// startAt starts the program over a folder, with its clock at the given time.
func startAt(t *testing.T, folder string, at time.Time) *instance {
	t.Helper()
	c, err := config.Local(lookup(nil))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProgram(options{data: folder, sandbox: true, ahead: ahead(time.Until(at))}, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{p, httptest.NewServer(p.handler), t}
	t.Cleanup(i.stop)
	return i
}

// secretNames returns the names of the stored secrets in the folder of a program that has ended.
func secretNames(t *testing.T, folder string) (names []string) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(folder, databaseFile), 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("secrets")).ForEach(func(key, _ []byte) error {
			name, _, _ := strings.Cut(string(key), "/")
			names = append(names, name)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Compact(names) // the keys are sorted
}
