package link_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// TestCredentialKind: the row states what each version of the secret is, and Entra is asked with
// that, the previous version included.
func TestCredentialKind(t *testing.T) {
	pem := secret.New(certificate(t, rsaKey(t), time.Date(2029, 3, 4, 5, 6, 7, 0, time.UTC)))
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		kinds := func() (now, before credential.Kind) {
			t.Helper()
			l, err := st.links.Get(t.Context(), slug)
			if err != nil {
				t.Fatal(err)
			}
			return l.Secret.Kind, l.Secret.PreviousKind
		}
		if now, before := kinds(); now != credential.KindClientSecret || before != "" {
			t.Errorf("registered: %q, %q", now, before)
		}
		if _, err := st.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientCertificate: pem}); err != nil {
			t.Fatal(err)
		}
		if now, before := kinds(); now != credential.KindCertificate || before != credential.KindClientSecret {
			t.Errorf("a certificate after a secret: %q, %q", now, before)
		}
		var asked []string
		st.source.answer = func(c entra.Credentials) error {
			asked = append(asked, fmt.Sprintf("%T", c.Credential))
			if _, ok := c.Credential.(credential.Certificate); ok {
				return refuse(7000222)(c)
			}
			return nil
		}
		if _, err := st.token(t.Context()); err != nil || fmt.Sprint(asked) != "[credential.Certificate credential.ClientSecret]" {
			t.Errorf("asked with %v, %v", asked, err)
		}

		// A row from before kinds: the text decides.
		if _, err := st.links.Update(t.Context(), slug, func(l link.Link) (link.Link, error) {
			l.Secret.Kind, l.Secret.PreviousKind = "", ""
			return l, nil
		}); err != nil {
			t.Fatal(err)
		}
		asked = nil
		time.Sleep(time.Minute)
		if _, err := st.token(t.Context()); err != nil || fmt.Sprint(asked) != "[credential.Certificate credential.ClientSecret]" {
			t.Errorf("a row without kinds: asked with %v, %v", asked, err)
		}

		// A row of a later version is a fault here, and not the credential's.
		if _, err := st.links.Update(t.Context(), slug, func(l link.Link) (link.Link, error) {
			l.Secret.Kind = "federated"
			return l, nil
		}); err != nil {
			t.Fatal(err)
		}
		asked = nil
		time.Sleep(time.Minute)
		var refused *link.Refused
		if _, err := st.token(t.Context()); err == nil || errors.As(err, &refused) || asked != nil {
			t.Errorf("a kind that is not known: asked with %v, %v", asked, err)
		}
	})
}

// TestAbandonedRowFromBefore: a reserved row without a secret's name is what an abandoned
// registration left before there was a phase of its own.
func TestAbandonedRowFromBefore(t *testing.T) {
	old := link.Link{Slug: slug, ID: "id", Organization: orgA, Phase: link.Reserved, Discard: []string{"link-a"}, Enrolled: true, PhaseSince: time.Now()}
	if got := old.Stored().Phase; got != link.Abandoned {
		t.Errorf("it is read as %q", got)
	}
	old.Secret.Name = "link-b"
	if got := old.Stored().Phase; got != link.Reserved {
		t.Errorf("a reservation is read as %q", got)
	}

	st := newDesk()
	old.Secret.Name = ""
	if err := st.links.Insert(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.Events(t.Context(), orgA, slug, 10, ""); problem.CodeOf(err) != problem.LinkNotFound {
		t.Errorf("its trail: %v", err)
	}
	if err := register(st.Service, "the-secret"); err != nil {
		t.Errorf("its organization registers the slug at once: %v", err)
	}
	if l, err := st.links.Get(t.Context(), slug); err != nil || len(l.Discard) != 1 || l.Discard[0] != "link-a" {
		t.Errorf("what is to be removed was forgotten: %+v, %v", l, err)
	}
}
