package smartauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/date"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/signer"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth/guidance"
	"fhirlink/shared/store"
)

// Base is the path below which the issuers are: Base + slug.
const Base = "/api/smart/"

// Links is the part of [link.Service] that SMART authorization needs.
type Links interface {
	Get(ctx context.Context, organization, slug string) (link.Link, error)
	// Live reads the link, whoever asks. Its status plays no part: an expired secret does not take
	// the apps of a link down. Error: LinkNotFound.
	Live(ctx context.Context, slug string) (link.Link, error)
	KeepSlug(ctx context.Context, organization, slug string) error
}

// Deps is what a Service works with. All but PublicURL, AnyTarget, MoreBaseURLs and Authority are required.
type Deps struct {
	Rows          store.Rows
	Links         Links
	Keys          Keys
	Registrations Registrations
	Aliases       smart.Aliases // of scopes, for every link of the deployment
	// TenantKeys returns the keys with which Entra signs tokens for a resource of a link; nil: there are none.
	TenantKeys func(ctx context.Context, l link.Link, resource string) []jose.JSONWebKey
	PublicURL  string // the origin of this deployment; empty: SMART cannot be switched on
	AnyTarget  bool   // addresses are judged when dialled (FHIRLINK_EGRESS_ALLOW is set)
	// MoreBaseURLs returns FHIR bases of a link beside those that it and its settings name; nil: there are none.
	MoreBaseURLs func(link.Link) []string
	// Authority returns where Entra is for a FHIR server, https://{host}/; nil: the public cloud.
	Authority func(fhir.BaseURL) string
	Now       func() time.Time
}

// Service is what organizations can do with the SMART authorization of their links. Every method acts
// on links of the organization only; the link of another one is as if it did not exist.
//
// Errors that callers may be told are *problem.Error.
type Service struct {
	Deps
	servers servers
}

// New makes a Service. It does nothing else.
func New(d Deps) *Service { return &Service{Deps: d} }

// Issuer is the issuer of a link's authorization server (RFC 8414 §2).
func (s *Service) Issuer(slug string) string { return s.PublicURL + Base + slug }

// Precondition are the headers If-Match and If-None-Match of a request (RFC 9110 §13.1).
type Precondition struct{ IfMatch, IfNoneMatch string }

// PreconditionOf reads them; several lines of one are one list (RFC 9110 §5.3).
func PreconditionOf(h http.Header) Precondition {
	return Precondition{IfMatch: strings.Join(h["If-Match"], ", "), IfNoneMatch: strings.Join(h["If-None-Match"], ", ")}
}

// blind reports whether nothing is said of what is there.
func (p Precondition) blind() bool { return p.IfMatch == "" && !p.creates() }

// creates reports whether the request is to find nothing there.
func (p Precondition) creates() bool { return strings.TrimSpace(p.IfNoneMatch) == "*" }

// check compares the headers with the entity tag of what is there; empty: nothing is.
func (p Precondition) check(etag, what string) error {
	switch {
	case p.blind():
		return problem.New(problem.IfMatchRequired, "Send the ETag of the %s as you last read them in If-Match, or If-Match: * to overwrite whatever is there.", what)
	case holds(p.IfMatch, etag) && (!p.creates() || etag == ""):
		return nil
	case p.IfMatch == "":
		return problem.New(problem.ChangedMeanwhile, "The %s are there already, and If-None-Match: * only creates. To replace them, send their ETag in If-Match, or If-Match: *.", what)
	case etag == "":
		return problem.New(problem.ChangedMeanwhile, "There are no %s that If-Match could be about. To create them, send If-None-Match: * instead.", what)
	}
	return problem.New(problem.ChangedMeanwhile, "The %s are not as your request says. Read them again, look at what changed, and send the request with the ETag.", what)
}

// holds reports whether an If-Match holds. Without the header it does.
func holds(ifMatch, etag string) bool {
	if ifMatch == "" || etag != "" && strings.TrimSpace(ifMatch) == "*" {
		return true
	}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if etag != "" && strings.TrimSpace(tag) == etag {
			return true
		}
	}
	return false
}

// partition is where the settings and apps of a link are.
func partition(slug string) string { return partitionPrefix + slug }

const partitionPrefix = "a"

func settingsKey(slug string) store.Key {
	return store.Key{Partition: partition(slug), Name: "S"}
}

// appPrefix begins the names of a link's apps. Those of a link that had the slug before have another one.
func appPrefix(l link.Link) string { return "A_" + l.ID + "_" }

func appKey(l link.Link, clientID string) store.Key {
	return store.Key{Partition: partition(string(l.Slug)), Name: appPrefix(l) + clientID}
}

// Settings returns the authorization server of a link, as it is stored now. Errors: LinkNotFound,
// SMARTNotEnabled, UpstreamUnavailable.
func (s *Service) Settings(ctx context.Context, organization, slug string) (Server, error) {
	settings, l, err := s.enabled(ctx, organization, slug)
	if err != nil {
		return Server{}, err
	}
	return s.with(ctx, l, settings)
}

// with reads the apps of a link.
func (s *Service) with(ctx context.Context, l link.Link, settings Settings) (Server, error) {
	apps, err := s.apps(ctx, l)
	server := Server{Link: l, Settings: settings.For(l), Apps: apps, authority: guidance.PublicCloud}
	if s.MoreBaseURLs != nil {
		server.more = s.MoreBaseURLs(l)
	}
	if err == nil && settings.Tokens == OfEntra {
		server.translator, err = settings.Spelling.translator(l, s.Aliases)
	}
	if base, err := l.Server(); err == nil && s.Authority != nil {
		server.authority = s.Authority(base)
	}
	return server, err
}

// enabled returns the settings of a link, with every default filled in. Errors: LinkNotFound,
// SMARTNotEnabled, UpstreamUnavailable.
func (s *Service) enabled(ctx context.Context, organization, slug string) (Settings, link.Link, error) {
	l, err := s.Links.Get(ctx, organization, slug)
	if err != nil {
		return Settings{}, link.Link{}, err
	}
	settings, _, err := s.settings(ctx, l)
	if err != nil {
		return Settings{}, link.Link{}, err
	}
	return settings.For(l), l, nil
}

// settings reads the settings of a link as they are stored. Errors: SMARTNotEnabled,
// UpstreamUnavailable.
func (s *Service) settings(ctx context.Context, l link.Link) (settings Settings, row store.Row, err error) {
	row, err = s.Rows.Row(ctx, settingsKey(string(l.Slug)))
	if err != nil {
		return Settings{}, row, Unavailable(err)
	}
	if err := decode(row, &settings); err != nil {
		return Settings{}, row, err
	}
	if settings.LinkID != l.ID { // none, or those of a link that had the slug before
		return Settings{}, row, problem.New(problem.SMARTNotEnabled, "SMART authorization is off for the link %q. Switch it on with PUT /api/links/%[1]s/smart.", l.Slug)
	}
	return settings, row, nil
}

// PutSettings replaces the settings of a link, or switches SMART authorization on. The slug is kept for
// the organization before anything is written: an issuer is never handed on. Errors: LinkNotFound,
// SMARTNotConfigured, InvalidFields, NotWithFhirlink, IfMatchRequired, ChangedMeanwhile,
// UpstreamUnavailable.
func (s *Service) PutSettings(ctx context.Context, organization, slug string, p Precondition, in NewSettings) (put Server, created bool, err error) {
	l, err := s.Links.Get(ctx, organization, slug)
	if err != nil {
		return Server{}, false, err
	}
	if p.blind() {
		return Server{}, false, problem.New(problem.IfMatchRequired, "To switch SMART authorization on, send If-None-Match: *. To change its settings, send their ETag as you last read them in If-Match, or If-Match: * to overwrite whatever is there.")
	}
	if s.PublicURL == "" {
		return Server{}, false, problem.New(problem.SMARTNotConfigured, "This deployment does not know its own address, which is part of every issuer. Whoever runs it sets FHIRLINK_PUBLIC_URL.")
	}
	if _, err := s.Keys.Keys(ctx); err != nil {
		return Server{}, false, keyProblem(err)
	}
	if in, err = s.withDefaults(ctx, l, in); err != nil {
		return Server{}, false, err
	}
	next, err := in.settings(l, s.AnyTarget, s.Aliases)
	if err != nil {
		return Server{}, false, err
	}
	for range attempts {
		before, row, err := s.settings(ctx, l)
		if err != nil && problem.CodeOf(err) != problem.SMARTNotEnabled {
			return Server{}, false, err
		}
		created = err != nil
		etag := ""
		if !created {
			etag = before.ETag()
		}
		if err := p.check(etag, "SMART settings"); err != nil {
			return Server{}, false, err
		}
		if !created && before.Tokens != next.Tokens {
			return Server{}, false, problem.Invalid(problem.Field{
				Field: "tokens", Code: "not_available_yet", Message: "Switching tokens is not available yet.",
				Fix: "DELETE the SMART settings, which ends what was granted, and PUT them again with If-None-Match: *.",
			})
		}
		apps, err := s.apps(ctx, l)
		if err == nil {
			err = s.suitsAll(next.For(l), l, apps)
		}
		if err != nil {
			return Server{}, false, err
		}
		now := date.Stored(s.Now())
		next.ID, next.LinkID, next.Tag, next.CreatedAt, next.UpdatedAt = before.ID, l.ID, rand.Text(), before.CreatedAt, now
		if created {
			next.ID, next.CreatedAt = rand.Text(), now
			if err := s.Links.KeepSlug(ctx, organization, slug); err != nil {
				return Server{}, false, err
			}
		}
		switch swapped, err := s.swap(ctx, row, next); {
		case err != nil:
			return Server{}, false, err
		case swapped:
			put, err := s.with(ctx, l, next)
			return put, created, err
		}
	}
	return Server{}, false, busy("settings")
}

// withDefaults leaves to the link and its apps what is as they make it: so what GET answered can be sent
// back, and still follows them.
func (s *Service) withDefaults(ctx context.Context, l link.Link, in NewSettings) (NewSettings, error) {
	if in.ServerClientID == l.ClientID {
		in.ServerClientID = ""
	}
	if in.ScopesSupported == nil {
		return in, nil
	}
	apps, err := s.apps(ctx, l)
	if err == nil && slices.Equal(*in.ScopesSupported, Server{Apps: apps}.ScopesSupported()) {
		in.ScopesSupported = nil
	}
	return in, err
}

// DeleteSettings switches SMART authorization off: everything that was granted is dead. The apps stay.
// Errors: LinkNotFound, SMARTNotEnabled, IfMatchRequired, ChangedMeanwhile, UpstreamUnavailable.
func (s *Service) DeleteSettings(ctx context.Context, organization, slug string, p Precondition) error {
	l, err := s.Links.Get(ctx, organization, slug)
	if err != nil {
		return err
	}
	for range attempts {
		settings, row, err := s.settings(ctx, l)
		if err != nil {
			return err
		}
		if err := (Precondition{IfMatch: p.IfMatch}).check(settings.ETag(), "SMART settings"); err != nil {
			return err
		}
		if gone, err := s.remove(ctx, row); err != nil || gone {
			return err
		}
	}
	return busy("settings")
}

// attempts limits how often a change is retried because of concurrent writes.
const attempts = 8

func busy(what string) error {
	return problem.Unavailable(errors.New("changed by others again and again"), time.Second, "The %s are being changed by others. Nothing was stored: send the request again.", what)
}

// swap writes a value in JSON if the row is still as it was read.
func (s *Service) swap(ctx context.Context, old store.Row, value any) (swapped bool, err error) {
	var data strings.Builder
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false) // no page shows it, and & would become six bytes
	if err := encoder.Encode(value); err != nil {
		return false, fmt.Errorf("row %s: %w", old.Name, err)
	}
	_, swapped, err = s.Rows.Swap(ctx, old, strings.TrimSuffix(data.String(), "\n"))
	s.servers.forget(strings.TrimPrefix(old.Partition, partitionPrefix)) // even if it is not known whether it was written
	return swapped, Unavailable(err)
}

// remove removes a row if it is still as it was read.
func (s *Service) remove(ctx context.Context, old store.Row) (gone bool, err error) {
	gone, err = s.Rows.Remove(ctx, old)
	s.servers.forget(strings.TrimPrefix(old.Partition, partitionPrefix))
	return gone, Unavailable(err)
}

// decode reads the value of a row; a row that is not there leaves into as it is.
func decode(row store.Row, into any) error {
	if row.Version == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(row.Value), into); err != nil {
		return fmt.Errorf("the row %s in %s cannot be read, repair or remove it: %w", row.Name, row.Partition, err)
	}
	return nil
}

// storeRetry is how long callers wait when the database does not answer.
const storeRetry = 5 * time.Second

// Unavailable explains errors of the database, the sealing keys and the signing key to callers, who can only
// wait. It leaves others as they are.
func Unavailable(err error) error {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return problem.Unavailable(err, storeRetry, "The database cannot be reached just now. Send the request again in a few seconds.")
	case errors.Is(err, secret.ErrUnavailable):
		return problem.Unavailable(err, storeRetry, "The keys that protect sign-ins cannot be read just now. Send the request again in a few seconds.")
	case errors.Is(err, signer.ErrUnavailable), errors.Is(err, signer.ErrNone):
		return problem.Unavailable(err, storeRetry, "The signing key cannot be used just now. Send the request again in a few seconds.")
	}
	return err
}
