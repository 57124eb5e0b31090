package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/store"
)

// webhooksBucket maps organization and id → endpoint as JSON.
var webhooksBucket = []byte("webhooks")

// endpoints implements [webhook.Store] in the same file.
type endpoints struct{ store *Store }

// Endpoints returns the store of the webhook endpoints in the file.
func (s *Store) Endpoints() webhook.Store { return endpoints{s} }

// endpointRow is the value in the bucket of endpoints.
type endpointRow struct {
	OpID     string // random id of the last write; two reads with the same OpID have read the same row
	Endpoint webhook.Endpoint
}

// List implements [webhook.Store].
func (s endpoints) List(ctx context.Context, organization string) (all []webhook.Endpoint, err error) {
	err = s.store.view(ctx, func(tx *bbolt.Tx) error {
		prefix := endpointKey(organization, "")
		c := tx.Bucket(webhooksBucket).Cursor()
		for k, data := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, data = c.Next() {
			found, err := decodeEndpoint(organization, string(k[len(prefix):]), data)
			if err != nil {
				return err
			}
			all = append(all, found.Endpoint)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Insert implements [webhook.Store].
func (s endpoints) Insert(ctx context.Context, e webhook.Endpoint) error {
	if strings.Contains(e.Organization+e.ID, "\x00") || e.Organization == "" || e.ID == "" {
		return fmt.Errorf("webhook %q of %q cannot be stored: both names must be there and have no NUL", e.ID, e.Organization)
	}
	swapped, err := s.swap(ctx, endpointRow{}, e)
	if err == nil && !swapped {
		return fmt.Errorf("%w: webhook %s", store.ErrExists, e.ID)
	}
	return err
}

// Update implements [webhook.Store].
func (s endpoints) Update(ctx context.Context, organization, id string, change func(webhook.Endpoint) (webhook.Endpoint, error)) (webhook.Endpoint, error) {
	for range attempts {
		found, err := s.read(ctx, organization, id)
		if err != nil {
			return webhook.Endpoint{}, err
		}
		next, err := change(found.Endpoint.Stored())
		if err != nil {
			return webhook.Endpoint{}, err
		}
		if next.ID != id || next.Organization != organization {
			return webhook.Endpoint{}, fmt.Errorf("an update of webhook %q cannot turn it into %q", id, next.ID)
		}
		if swapped, err := s.swap(ctx, found, next); swapped || err != nil {
			return next.Stored(), err
		}
	}
	return webhook.Endpoint{}, fmt.Errorf("%w: webhook %s was changed by others %d times in a row", store.ErrUnavailable, id, attempts)
}

// Remove implements [webhook.Store].
func (s endpoints) Remove(ctx context.Context, organization, id string) error {
	return s.store.update(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(webhooksBucket).Delete(endpointKey(organization, id))
	})
}

func (s endpoints) read(ctx context.Context, organization, id string) (found endpointRow, err error) {
	err = s.store.view(ctx, func(tx *bbolt.Tx) (err error) {
		found, err = loadEndpoint(tx, organization, id)
		return err
	})
	if err == nil && found.OpID == "" {
		err = fmt.Errorf("%w: webhook %s", store.ErrNotFound, id)
	}
	return found, err
}

// swap replaces the row that was found with next, and reports whether it did. The zero row means
// that there is no row.
func (s endpoints) swap(ctx context.Context, found endpointRow, next webhook.Endpoint) (swapped bool, err error) {
	err = s.store.update(ctx, func(tx *bbolt.Tx) error {
		current, err := loadEndpoint(tx, next.Organization, next.ID)
		if err != nil || current.OpID != found.OpID {
			return err
		}
		data, err := json.Marshal(endpointRow{rand.Text(), next.Stored()})
		if err != nil {
			return fmt.Errorf("webhook %q cannot be written: %w", next.ID, err)
		}
		swapped = true
		return tx.Bucket(webhooksBucket).Put(endpointKey(next.Organization, next.ID), data)
	})
	return swapped && err == nil, err
}

// loadEndpoint returns the zero row when there is no row.
func loadEndpoint(tx *bbolt.Tx, organization, id string) (endpointRow, error) {
	data := tx.Bucket(webhooksBucket).Get(endpointKey(organization, id))
	if data == nil {
		return endpointRow{}, nil
	}
	return decodeEndpoint(organization, id, data)
}

func decodeEndpoint(organization, id string, data []byte) (found endpointRow, err error) {
	err = json.Unmarshal(data, &found)
	switch {
	case err != nil:
	case found.OpID == "":
		err = errors.New("it has no OpID")
	case found.Endpoint.ID != id || found.Endpoint.Organization != organization:
		err = fmt.Errorf("it says that it is %q", found.Endpoint.ID)
	default:
		return found, nil
	}
	return endpointRow{}, fmt.Errorf("the row of webhook %q in the links' file cannot be read: %w; restore the file, or remove that row", id, err)
}

// endpointKey groups the endpoints of an organization, apart from those of all others.
func endpointKey(organization, id string) []byte { return []byte(organization + "\x00" + id) }
