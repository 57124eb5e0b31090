package link

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/notify"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// DefaultMaxLinks is how many links an organization may have when nothing else is set.
const DefaultMaxLinks = 500

// Verifier checks what a registration claims. *verification.Verifier implements it.
type Verifier interface {
	Verify(ctx context.Context, t verification.Target) verification.Report
}

// Deps is what a Service works with. The first block is required.
type Deps struct {
	Stores    Stores
	Secrets   secret.Store
	Verifier  Verifier
	Tokens    entra.TokenSource
	Authority func(fhir.BaseURL) string // the configured authority for a server

	Channel    notify.Channel   // delivers notices; nil: none are delivered
	Mailer     notify.Mailer    // sends digests to the links' contacts; nil: no mail
	Ends       ending.Directory // knows when secrets end; nil: people type it
	Thresholds []int            // days before a secret's end at which people are told; nil: 60, 30, 14, 7, 3, 1, 0

	AnyTarget bool             // addresses are judged when dialled (FHIRLINK_EGRESS_ALLOW is set)
	MaxLinks  int              // links per organization; zero: DefaultMaxLinks
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: slog.Default()
}

// Service is what can be done with links. Every method that takes an organization acts on
// that organization's links only; the link of another one is as if it did not exist.
//
// Errors that callers may be told are *problem.Error.
type Service struct {
	stores    Stores
	secrets   secret.Store
	verifier  Verifier
	source    entra.TokenSource
	authority func(fhir.BaseURL) string

	sender     telling.Sender
	directory  ending.Directory // nil: people type when secrets end
	thresholds telling.Thresholds

	anyTarget bool
	maxLinks  int
	now       func() time.Time
	log       *slog.Logger

	written []func(Slug) // called after every write of a row
	apps    Apps         // nil: links have none
}

// New makes a Service. It does nothing else: no network, no goroutine.
func New(d Deps) *Service {
	s := &Service{
		stores: d.Stores, secrets: d.Secrets, verifier: d.Verifier, source: d.Tokens, authority: d.Authority,
		directory: d.Ends, thresholds: telling.DefaultThresholds(),
		anyTarget: d.AnyTarget, maxLinks: cmp.Or(d.MaxLinks, DefaultMaxLinks), now: d.Now, log: d.Log,
	}
	if d.Thresholds != nil {
		s.thresholds = telling.NewThresholds(d.Thresholds)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.sender = telling.Sender{Channel: d.Channel, Mailer: d.Mailer, Log: s.log}
	return s
}

// OnWrite has changed called after every write of a row, for caches of rows. It is not safe to
// call while the Service is in use.
func (s *Service) OnWrite(changed func(Slug)) { s.written = append(s.written, changed) }

// Apps are the SMART apps of links.
type Apps interface {
	// Removed removes the apps of a link that is being deleted, before its slug is free of them. It may
	// be called again after it succeeded.
	Removed(ctx context.Context, l Link) error
	// Tend removes a registration that no app names, and lets others follow their link. did is what was
	// done, or could not be; "": nothing. It returns the row as it is then, the zero Link if that is not known.
	Tend(ctx context.Context, registration Link) (row Link, did string, err error)
	// Free is nil unless an application of a tenant is an app's own.
	Free(ctx context.Context, tenantID, clientID string) error
}

// KeepsApps says who keeps the apps of links. It is not safe to call while the Service is in use.
func (s *Service) KeepsApps(apps Apps) { s.apps = apps }

// Result is a link after a change, with what the caller should be told beside it.
type Result struct {
	Link   Link
	Notes  []string             // what was changed in the input, in words
	Report *verification.Report // nil when the change needed no verification
}

// Finding is the code of what the verification found, and whether it is a warning only; empty when
// it found nothing.
func (r Result) Finding() (code string, warning bool) {
	if r.Report == nil {
		return "", false
	}
	return r.Report.Finding()
}

// reader is a Reader of today's input.
func (s *Service) reader() *intake.Reader { return intake.NewReader(date.Of(s.now()), s.anyTarget) }

// Get returns a link of the organization.
func (s *Service) Get(ctx context.Context, organization, slug string) (Link, error) {
	return s.own(ctx, organization, slug)
}

// Directory returns an active link whose owner listed it, for every caller.
func (s *Service) Directory(ctx context.Context, slug string) (Link, error) {
	l, err := s.find(ctx, slug)
	if err != nil && problem.CodeOf(err) != problem.LinkNotFound {
		return Link{}, err
	}
	if err != nil || l.Phase != Live || !l.Listed || l.Status(s.now()) != condition.Active {
		return Link{}, problem.New(problem.LinkNotFound, "The directory has no link %.64q: it shows active links that their owners have listed. Check the spelling, or ask the owner to list the link.", slug)
	}
	return l, nil
}

// own is the tenant check of every operation that manages links. It reads the row, not a cache, and
// returns it only to its owner.
func (s *Service) own(ctx context.Context, organization, slug string) (Link, error) {
	l, err := s.find(ctx, slug)
	if err != nil {
		return Link{}, err
	}
	if !l.visibleTo(organization) {
		return Link{}, explain.NotFound(slug)
	}
	return l, nil
}

func (s *Service) find(ctx context.Context, slug string) (Link, error) {
	parsed, mistake := ParseSlug(slug)
	if mistake != nil {
		return Link{}, explain.NotFound(slug)
	}
	l, err := s.stores.Get(ctx, parsed)
	return l, explain.Store(err, slug)
}

// ForTokens returns a link that the caller may have tokens for: its own organization's, or any
// one when it is the operator. read is how rows are read, which may be from a cache.
// Errors: LinkNotFound, UpstreamUnavailable.
func (s *Service) ForTokens(ctx context.Context, read func(context.Context, Slug) (Link, error), organization string, operator bool, slug string) (Link, error) {
	parsed, mistake := ParseSlug(slug)
	if mistake != nil {
		return Link{}, explain.NotFound(slug)
	}
	l, err := read(ctx, parsed)
	if err != nil {
		return Link{}, explain.Store(err, slug)
	}
	if !l.visibleTo(organization) && (!operator || l.Phase != Live) {
		// An unknown slug is read from the table every time. So is another organization's: otherwise
		// the time, or the table's outages, would tell the two apart.
		if _, err := s.stores.Get(ctx, parsed); err != nil {
			return Link{}, explain.Store(err, slug)
		}
		return Link{}, explain.NotFound(slug)
	}
	return l, nil
}

// visibleTo and trailVisibleTo are the only rules about what of a link an organization may see.
func (l Link) visibleTo(organization string) bool {
	return l.Phase == Live && l.ownedBy(organization)
}

// trailVisibleTo: the trail also outlives the link, while its slug is reserved.
func (l Link) trailVisibleTo(organization string) bool {
	return l.Phase != Reserved && l.Phase != Abandoned && l.ownedBy(organization)
}

func (l Link) ownedBy(organization string) bool {
	return organization != "" && l.Organization == organization
}

func (l Link) match(header string) error { return intake.Match(header, l.ETag(), string(l.Slug)) }

// attributes are what the store of secrets keeps beside the value.
func (l Link) attributes() secret.Attributes {
	return secret.Attributes{ExpiresOn: l.Secret.ExpiresOn.Time(), Slug: string(l.Slug), Organization: l.Organization}
}

// Server is the FHIR server of a stored link.
func (l Link) Server() (fhir.BaseURL, error) {
	base, ok := fhir.StoredBaseURL(l.FHIRServerURL)
	if !ok {
		return base, fmt.Errorf("link %s: the stored FHIR server URL is not one", l.Slug)
	}
	return base, nil
}

// word is a random word of 130 bits, lower case letters and digits.
func word() string { return strings.ToLower(rand.Text()) }

// aside is a context for work that must be done even when the request has ended.
func aside(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}
