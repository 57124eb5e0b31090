package aztable

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/store"
)

// endpoints implements [webhook.Store] in the same table. The endpoints of an organization are
// one partition. CreateOp and OpIDs reveal lost answers, as for links.
type endpoints struct{ store *Store }

// Endpoints returns the store of the webhook endpoints in the table.
func (s *Store) Endpoints() webhook.Store { return endpoints{s} }

// List implements [webhook.Store].
func (s endpoints) List(ctx context.Context, organization string) (all []webhook.Endpoint, err error) {
	if err := checkKey("organization", organization); err != nil {
		return nil, err
	}
	filter := fmt.Sprintf("PartitionKey eq '%s'", endpointPartition(organization))
	pager := s.store.client.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: &filter})
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err = explain(ctx, err); hasCode(err, aztables.TableNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, wrapError("listing webhooks", err)
		}
		for _, data := range page.Entities {
			found, err := decodeEndpoint(organization, data, "")
			if err != nil {
				return nil, err
			}
			all = append(all, found.endpoint)
		}
	}
	return all, nil
}

// Insert implements [webhook.Store].
func (s endpoints) Insert(ctx context.Context, e webhook.Endpoint) error {
	if err := checkEndpoint(e.Organization, e.ID); err != nil {
		return err
	}
	op := rand.Text()
	next := endpointRow{endpoint: e.Stored(), createOp: op, opIDs: []string{op}}
	for n := range attempts {
		err := s.store.withTable(ctx, func() error { return s.write(ctx, next, "") })
		if !isConflict(err) {
			return wrapError("writing webhook "+e.ID, err)
		}
		found, err := s.read(ctx, e.Organization, e.ID)
		switch {
		case err == nil && found.createOp == op:
			return nil
		case err == nil:
			return fmt.Errorf("%w: webhook %s", store.ErrExists, e.ID)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := backOff(ctx, n); err != nil { // the row in the way has been removed meanwhile
			return wrapError("writing webhook "+e.ID, err)
		}
	}
	return busyEndpoint(e.ID)
}

// Update implements [webhook.Store].
func (s endpoints) Update(ctx context.Context, organization, id string, change func(webhook.Endpoint) (webhook.Endpoint, error)) (webhook.Endpoint, error) {
	found, err := s.read(ctx, organization, id)
	for n := range attempts {
		if err != nil {
			return webhook.Endpoint{}, err
		}
		next, err := found.changed(change)
		if err != nil {
			return webhook.Endpoint{}, err
		}
		err = s.write(ctx, next, found.etag)
		if err == nil {
			return next.endpoint, nil
		}
		if !isConflict(err) {
			return webhook.Endpoint{}, wrapError("writing webhook "+id, err)
		}
		fresh, err := s.read(ctx, organization, id)
		if err == nil && slices.Contains(fresh.opIDs, next.opIDs[0]) {
			return next.endpoint, nil
		}
		if err == nil {
			err = wrapError("writing webhook "+id, backOff(ctx, n))
		}
		if err != nil {
			return webhook.Endpoint{}, err
		}
		found = fresh
	}
	return webhook.Endpoint{}, busyEndpoint(id)
}

// Remove implements [webhook.Store].
func (s endpoints) Remove(ctx context.Context, organization, id string) error {
	if checkEndpoint(organization, id) != nil {
		return nil // no row can have such a key
	}
	_, err := s.store.client.DeleteEntity(ctx, endpointPartition(organization), id, &aztables.DeleteEntityOptions{IfMatch: to.Ptr(azcore.ETagAny)})
	if err = explain(ctx, err); isNotFound(err) {
		return nil
	}
	return wrapError("removing webhook "+id, err)
}

// read returns the row of an endpoint, or store.ErrNotFound.
func (s endpoints) read(ctx context.Context, organization, id string) (endpointRow, error) {
	if checkEndpoint(organization, id) != nil {
		return endpointRow{}, fmt.Errorf("%w: webhook %.80q", store.ErrNotFound, id)
	}
	answer, err := s.store.client.GetEntity(ctx, endpointPartition(organization), id, nil)
	if err = explain(ctx, err); isNotFound(err) {
		return endpointRow{}, fmt.Errorf("%w: webhook %s", store.ErrNotFound, id)
	}
	if err != nil {
		return endpointRow{}, wrapError("reading webhook "+id, err)
	}
	return decodeEndpoint(organization, answer.Value, answer.ETag)
}

// write inserts the row, or replaces the one that was read with that ETag.
func (s endpoints) write(ctx context.Context, next endpointRow, etag azcore.ETag) error {
	entity, err := next.entity()
	if err != nil {
		return err
	}
	if etag == "" {
		_, err = s.store.client.AddEntity(ctx, entity, nil)
	} else {
		_, err = s.store.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
	}
	return explain(ctx, err)
}

// endpointRow is an endpoint with the driver's own properties.
type endpointRow struct {
	endpoint webhook.Endpoint
	createOp string      // random id of the insert
	opIDs    []string    // random ids of the latest writes, newest first
	etag     azcore.ETag // as read; "" in a list
}

// changed returns the row that change makes of r, with a new op id.
func (r endpointRow) changed(change func(webhook.Endpoint) (webhook.Endpoint, error)) (endpointRow, error) {
	e, err := change(r.endpoint.Stored())
	if err != nil {
		return endpointRow{}, err
	}
	if e.ID != r.endpoint.ID || e.Organization != r.endpoint.Organization {
		return endpointRow{}, fmt.Errorf("an update of webhook %q cannot turn it into %q", r.endpoint.ID, e.ID)
	}
	opIDs := slices.Concat([]string{rand.Text()}, r.opIDs)
	return endpointRow{endpoint: e.Stored(), createOp: r.createOp, opIDs: opIDs[:min(len(opIDs), rememberedOps)]}, nil
}

// columns lists the properties of the row. The organization and the id are in its keys.
func (r *endpointRow) columns() []column {
	e := &r.endpoint
	return []column{
		{"CreateOp", &r.createOp},
		{"OpIDs", jsonText{&r.opIDs}},

		{"URL", &e.URL},
		{"Description", &e.Description},
		{"SecretName", &e.SecretName},
		{"Keys", jsonText{&e.Keys}},
		{"CreatedAt", &e.CreatedAt},
		{"RemovedAt", &e.RemovedAt},
		{"DisabledAt", &e.DisabledAt},
		{"DisabledReason", &e.DisabledReason},
		{"LastDelivery", jsonText{&e.LastDelivery}},
	}
}

func (r endpointRow) entity() ([]byte, error) {
	data, err := encode(endpointPartition(r.endpoint.Organization), r.endpoint.ID, r.columns())
	if err != nil {
		return nil, fmt.Errorf("webhook %s cannot be stored: %w", r.endpoint.ID, err)
	}
	return data, nil
}

// decodeEndpoint reads the properties that columns lists.
func decodeEndpoint(organization string, data []byte, etag azcore.ETag) (endpointRow, error) {
	r := endpointRow{etag: etag}
	var e aztables.EDMEntity
	err := json.Unmarshal(data, &e)
	r.endpoint.Organization, r.endpoint.ID = organization, e.RowKey
	if err == nil {
		err = decodeColumns(e, r.columns())
	}
	if err == nil && (r.createOp == "" || len(r.opIDs) == 0) {
		err = errors.New("property CreateOp or OpIDs is missing")
	}
	if err != nil {
		return endpointRow{}, fmt.Errorf("row %.80s in partition %s of the links' table cannot be read, repair it there: %w", e.RowKey, endpointPartition(organization), err)
	}
	return r, nil
}

func endpointPartition(organization string) string { return "w" + organization }

func checkEndpoint(organization, id string) error {
	if err := checkKey("organization", organization); err != nil {
		return err
	}
	return checkKey("webhook's id", id)
}

// wrapError adds what failed to err; nil stays nil.
func wrapError(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func busyEndpoint(id string) error {
	return fmt.Errorf("%w: webhook %s was changed by others %d times in a row", store.ErrUnavailable, id, attempts)
}
