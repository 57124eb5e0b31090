package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"fhirlink/shared/egress"
	"fhirlink/shared/flight"
)

const (
	maxPublished = 64 << 10 // bytes of a published set
	maxSets      = 1000
	timeout      = 5 * time.Second
	defaultLife  = 5 * time.Minute // of a set whose publisher says nothing
	maxLife      = time.Hour       // a key that was withdrawn must not live on
	minLife      = time.Second     // so that strangers cannot make us fetch at their pace
	unknownPause = 30 * time.Second
	failurePause = 5 * time.Second
)

// Unreachable means that a set cannot be fetched just now, or is none.
type Unreachable struct{ Reason string }

// Error says why.
func (e *Unreachable) Error() string { return "the key set of the app " + e.Reason }

// Published keeps the sets that apps publish, each for as long as its publisher allows, and never longer.
type Published struct {
	client *http.Client
	now    func() time.Time
	known  *lru.Cache[string, *published] // by address
}

// NewPublished makes one. client must be guarded by package egress, because organizations name the addresses. Redirects
// are not followed, whatever the policy of client: they would let the publisher choose who is asked.
func NewPublished(client *http.Client, now func() time.Time) *Published {
	known, err := lru.New[string, *published](maxSets)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	strict := *client
	strict.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Published{&strict, now, known}
}

// published is a set as it was fetched last.
type published struct {
	flights flight.Group[Set]

	mu       sync.Mutex
	set      Set
	until    time.Time // it may be used
	searched time.Time // when it was last fetched because a key was not in it
	failure  error
	failed   time.Time
}

// Find returns a key of the set at an address. A key that is not there makes it fetch the set once more, at
// most every 30 s: the app may have changed its keys. Errors: ErrNoKey, ErrSeveralKeys, *Unreachable, and
// that of the context.
func (p *Published) Find(ctx context.Context, uri, keyID string, algorithm jose.SignatureAlgorithm) (any, error) {
	at := p.at(uri)
	set, fetched, err := p.set(ctx, at, uri)
	if err != nil {
		return nil, err
	}
	key, err := set.Find(keyID, algorithm)
	if !errors.Is(err, ErrNoKey) || fetched || !at.maySearch(p.now()) {
		return key, err
	}
	if set, err = p.fetch(ctx, at, uri); err != nil {
		return nil, err
	}
	return set.Find(keyID, algorithm)
}

// at returns what is known of an address. Two callers that need it first get the same one.
func (p *Published) at(uri string) *published {
	if known, ok := p.known.Get(uri); ok {
		return known
	}
	fresh := &published{}
	if known, ok, _ := p.known.PeekOrAdd(uri, fresh); ok {
		return known
	}
	return fresh
}

// set returns the set at an address, and whether it was fetched for this call.
func (p *Published) set(ctx context.Context, at *published, uri string) (set Set, fetched bool, err error) {
	now := p.now()
	at.mu.Lock()
	set, usable, failure := at.set, now.Before(at.until), at.failure
	if failure != nil && now.Sub(at.failed) >= failurePause {
		failure = nil
	}
	at.mu.Unlock()
	switch {
	case usable:
		return set, false, nil
	case failure != nil:
		return Set{}, false, failure
	}
	set, err = p.fetch(ctx, at, uri)
	return set, true, err
}

// maySearch reports whether the set may be fetched because a key is not in it.
func (at *published) maySearch(now time.Time) bool {
	at.mu.Lock()
	defer at.mu.Unlock()
	if !at.searched.IsZero() && now.Sub(at.searched) < unknownPause {
		return false
	}
	at.searched = now
	return true
}

// fetch fetches the set, once for all callers that wait.
func (p *Published) fetch(ctx context.Context, at *published, uri string) (Set, error) {
	return at.flights.Do(ctx, "", timeout, func(ctx context.Context) (Set, error) {
		asked := p.now()
		set, life, err := p.read(ctx, uri)
		at.mu.Lock()
		defer at.mu.Unlock()
		if err != nil {
			at.failure, at.failed = err, p.now()
			return Set{}, err
		}
		at.set, at.until, at.failure = set, asked.Add(life), nil
		return set, nil
	})
}

func (p *Published) read(ctx context.Context, uri string) (set Set, life time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return Set{}, 0, &Unreachable{"has an address that cannot be asked"}
	}
	request.Header.Set("Accept", "application/json")
	response, err := p.client.Do(request)
	switch {
	case egress.TimedOut(err):
		return Set{}, 0, &Unreachable{"was not answered in time"}
	case errors.Is(err, egress.ErrBlocked):
		return Set{}, 0, &Unreachable{"is at an address that this deployment may not reach"}
	case err != nil:
		return Set{}, 0, &Unreachable{"cannot be reached: " + string(egress.FailureOf(err))}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Set{}, 0, &Unreachable{fmt.Sprintf("was answered with status %d instead of 200", response.StatusCode)}
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPublished+1))
	switch {
	case err != nil:
		return Set{}, 0, &Unreachable{"was not answered in full"}
	case len(text) > maxPublished:
		return Set{}, 0, &Unreachable{"is larger than 64 KiB"}
	}
	if set, err = Parse(text); err != nil {
		return Set{}, 0, &Unreachable{"is no JSON object with a list of keys"}
	}
	set.text = nil // nobody asks for it, and there may be many sets
	return set, lifeOf(response.Header), nil
}

// lifeOf is how long an answer may be used (RFC 9111 §4.2.1, §5.1).
func lifeOf(h http.Header) time.Duration {
	life := defaultLife
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(h["Cache-Control"], ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return minLife
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return minLife
			}
			life = time.Duration(seconds) * time.Second
		}
	}
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		life -= time.Duration(age) * time.Second
	}
	return min(max(life, minLife), maxLife)
}
