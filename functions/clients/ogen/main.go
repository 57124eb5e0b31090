// Command client makes the calls of README.md in the folder above with a client by ogen.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/google/uuid"
	"github.com/ogen-go/ogen/ogenerrors"

	"fhirlink.example/client/api"
)

const slug = "by-ogen"

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func run(ctx context.Context) error {
	client, err := api.NewClient(cmp.Or(os.Getenv("FHIRLINK_URL"), "http://127.0.0.1:7071"), organization("11111111-1111-4111-8111-111111111111"))
	if err != nil {
		return err
	}
	registered, err := answer[*api.RegisterCreatedHeaders](client.Register(ctx, &api.Registration{
		Slug: slug, Description: "Good Health Clinic", FhirServerUrl: "https://clinic.fhir.sandbox.test",
		ClientId:     uuid.MustParse("22222222-2222-4222-8222-222222222222"),
		ClientSecret: api.NewOptNilString("sandbox-secret-value"),
		Listed:       api.NewOptNilBool(true),
	}))
	if err != nil {
		return err
	}
	if status := registered.Response.Status; status != api.ChangedLinkStatusActive {
		return fmt.Errorf("registered as %s", status)
	}
	report, err := answer[*api.Report](client.Verify(ctx, &api.Verification{Slug: api.NewOptNilString(slug)}))
	if err != nil {
		return err
	}
	if report.Access != api.ReportAccessReadWrite {
		return fmt.Errorf("verified with access %s", report.Access)
	}
	page, err := answer[*api.ListLinksOK](client.ListLinks(ctx, api.ListLinksParams{Status: api.NewOptListLinksStatus(api.ListLinksStatusActive)}))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(page.Links, func(l api.LinkFields) bool { return l.Slug == slug }) {
		return fmt.Errorf("listed %+v", page.Links)
	}
	changed, err := answer[*api.ChangedLinkHeaders](client.ChangeLink(ctx,
		&api.ChangeLinkApplicationJSON{Description: api.NewOptNilString("Better Health Clinic")}, api.ChangeLinkParams{Slug: slug, IfMatch: registered.ETag}))
	if err != nil {
		return err
	}
	if l := changed.Response; !l.Listed || l.Description != "Better Health Clinic" {
		return fmt.Errorf("changed to %+v", l)
	}
	return translate(ctx, client)
}

func translate(ctx context.Context, client *api.Client) error {
	translated, err := answer[*api.ScopeTranslation](client.TranslateScope(ctx,
		&api.ScopeRequest{Scope: api.NewStringArrayScopeRequestScope([]string{"patient/Observation.rs", "openid"})}))
	if err != nil {
		return err
	}
	queried, err := answer[*api.ScopeTranslation](client.TranslateScopeGet(ctx, api.TranslateScopeGetParams{Scope: "patient/Observation.rs openid"}))
	if err != nil {
		return err
	}
	if translated.Scope != "patient-Observation.rs openid" || queried.Scope != translated.Scope {
		return fmt.Errorf("translated to %q and %q", translated.Scope, queried.Scope)
	}
	_, err = answer[*api.VerifyNotFound](client.Verify(ctx, &api.Verification{Slug: api.NewOptNilString("no-such-clinic")}))
	return err
}

// answer is the answer if it has the expected type, which stands for a status.
func answer[T any](got any, err error) (want T, _ error) {
	if err != nil {
		return want, err
	}
	want, ok := got.(T)
	if !ok {
		return want, fmt.Errorf("answered %+v", got)
	}
	return want, nil
}

// organization signs in to make run, which needs no access token.
type organization string

// Entra implements api.SecuritySource.
func (organization) Entra(context.Context, api.OperationName) (api.Entra, error) {
	return api.Entra{}, ogenerrors.ErrSkipClientSecurity
}

// Local implements api.SecuritySource.
func (o organization) Local(context.Context, api.OperationName) (api.Local, error) {
	return api.Local{APIKey: string(o)}, nil
}
