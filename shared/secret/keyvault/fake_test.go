package keyvault_test

import (
	"context"
	"errors"
	"net/http"
	"slices"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets/fake"

	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
)

// fakeTransport is the SDK's fake over a store in memory.
func fakeTransport(store *secrettest.Store) policy.Transporter {
	f := fakeVault{store}
	return fake.NewServerTransport(&fake.Server{
		SetSecret: f.set, GetSecret: f.get, UpdateSecretProperties: f.update, DeleteSecret: f.delete,
		NewListSecretPropertiesVersionsPager: f.list,
	})
}

type fakeVault struct{ store *secrettest.Store }

func (f fakeVault) set(ctx context.Context, name string, p azsecrets.SetSecretParameters, _ *azsecrets.SetSecretOptions) (r azfake.Responder[azsecrets.SetSecretResponse], e azfake.ErrorResponder) {
	version, err := f.store.Put(ctx, name, secret.New(*p.Value), kept(p.SecretAttributes, p.Tags))
	switch {
	case errors.Is(err, secret.ErrNameUsed):
		e.SetResponseError(http.StatusConflict, "Conflict")
	case err != nil:
		e.SetResponseError(http.StatusBadRequest, "BadParameter")
	default:
		r.SetResponse(http.StatusOK, azsecrets.SetSecretResponse{Secret: azsecrets.Secret{ID: id(name, version), Value: p.Value}}, nil)
	}
	return r, e
}

func (f fakeVault) get(ctx context.Context, name, version string, _ *azsecrets.GetSecretOptions) (r azfake.Responder[azsecrets.GetSecretResponse], e azfake.ErrorResponder) {
	v, err := f.store.Get(ctx, name, version)
	all, _ := f.store.Versions(ctx, name) // it fails only if Get does
	switch {
	case slices.ContainsFunc(all, func(v secret.Version) bool { return v.ID == version && !v.Enabled }):
		e.SetResponseError(http.StatusForbidden, "SecretDisabled") // the fake has no innererror
	case err != nil:
		e.SetResponseError(http.StatusNotFound, "SecretNotFound")
	default:
		r.SetResponse(http.StatusOK, azsecrets.GetSecretResponse{Secret: azsecrets.Secret{ID: id(name, version), Value: to.Ptr(v.Reveal())}}, nil)
	}
	return r, e
}

func (f fakeVault) update(ctx context.Context, name, version string, p azsecrets.UpdateSecretPropertiesParameters, _ *azsecrets.UpdateSecretPropertiesOptions) (r azfake.Responder[azsecrets.UpdateSecretPropertiesResponse], e azfake.ErrorResponder) {
	if err := f.store.Update(ctx, name, version, p.SecretAttributes.Enabled == nil || *p.SecretAttributes.Enabled, kept(p.SecretAttributes, p.Tags)); err != nil {
		e.SetResponseError(http.StatusNotFound, "SecretNotFound")
		return r, e
	}
	r.SetResponse(http.StatusOK, azsecrets.UpdateSecretPropertiesResponse{Secret: azsecrets.Secret{ID: id(name, version)}}, nil)
	return r, e
}

func (f fakeVault) delete(ctx context.Context, name string, _ *azsecrets.DeleteSecretOptions) (r azfake.Responder[azsecrets.DeleteSecretResponse], e azfake.ErrorResponder) {
	if all, err := f.store.Versions(ctx, name); err != nil || len(all) == 0 || f.store.Delete(ctx, name) != nil {
		e.SetResponseError(http.StatusNotFound, "SecretNotFound")
		return r, e
	}
	r.SetResponse(http.StatusOK, azsecrets.DeleteSecretResponse{}, nil)
	return r, e
}

func (f fakeVault) list(name string, _ *azsecrets.ListSecretPropertiesVersionsOptions) (r azfake.PagerResponder[azsecrets.ListSecretPropertiesVersionsResponse]) {
	all, _ := f.store.Versions(context.Background(), name) // an invalid name never gets here
	for page := range slices.Chunk(all, 25) {
		var p azsecrets.ListSecretPropertiesVersionsResponse
		for _, v := range page {
			p.Value = append(p.Value, &azsecrets.SecretProperties{ID: id(name, v.ID), Attributes: &azsecrets.SecretAttributes{Enabled: &v.Enabled, Created: &v.CreatedAt}})
		}
		r.AddPage(http.StatusOK, p, nil)
	}
	if len(all) == 0 {
		r.AddPage(http.StatusOK, azsecrets.ListSecretPropertiesVersionsResponse{}, nil)
	}
	return r
}

func id(name, version string) *azsecrets.ID {
	return to.Ptr(azsecrets.ID(vaultURL + "/secrets/" + name + "/" + version))
}

func kept(a *azsecrets.SecretAttributes, tags map[string]*string) secret.Attributes {
	k := secret.Attributes{Slug: *tags["slug"], Organization: *tags["organization"]}
	if a.Expires != nil {
		k.ExpiresOn = *a.Expires
	}
	return k
}
