package comparehosts_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/azfunc/hosttest"
	"fhirlink/shared/link"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
	"fhirlink/shared/store/aztable"
)

// TestKilledAtAnyInstant: clients register, change and delete links while the host kills the
// handler repeatedly, without a warning. Acknowledged changes survive. A visible link has a
// working secret at every moment. Once interrupted work is old enough, the timer finishes or
// removes it.
func TestKilledAtAnyInstant(t *testing.T) {
	cloudtest.LinuxOnly(t)
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 12 {
				w.round()
			}
			w.host.Restart() // empties the memory
			w.checkPromises()
			w.checkInterruptions()
			w.ageUnfinishedWork()
			for range 3 {
				w.sweep()
			}
			w.checkRest()
			w.checkPromises()
		})
	}
}

// world is a program with the services around it, and clients that record its promises.
type world struct {
	t       *testing.T
	random  *rand.Rand
	cloud   *cloudtest.Cloud
	host    *hosttest.Host
	url     string
	store   *aztable.Store
	clients []*client
	output  *cloudtest.Output
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	cloud, connection := cloudtest.Start(t), table(t)
	service, err := aztables.NewServiceClientFromConnectionString(connection, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0)), cloud: cloud, store: aztable.New(service.NewClient("links")), output: &cloudtest.Output{}}
	w.host = functionsHost(t, cloud, connection)
	w.host.Console = func(line hosttest.Line) { fmt.Fprintln(w.output, line.Text) }
	w.url = hosttest.Serve(t, w.host)
	for n := range 4 {
		w.clients = append(w.clients, &client{
			world: w, slug: fmt.Sprintf("crash-%d", n), possible: map[state]bool{absent: true},
			random: rand.New(rand.NewPCG(seed, uint64(n+1))),
		})
	}
	return w
}

// round kills the handler at a random moment while every client works.
func (w *world) round() {
	w.t.Helper()
	var group sync.WaitGroup
	for _, c := range w.clients {
		group.Go(func() {
			for range 3 {
				c.act()
			}
		})
	}
	time.Sleep(time.Duration(w.random.IntN(60)) * time.Millisecond)
	w.host.Restart()
	group.Wait()
}

func (w *world) sweep() {
	w.t.Helper()
	if answer, err := w.host.RunTimer(w.t.Context(), "secret-expiry", hosttest.Timer{}); err != nil || len(answer.Logs) == 0 {
		w.t.Errorf("the timer: %+v, %v", answer, err)
	}
}

// checkPromises checks the links as a caller: acknowledged changes are there, and every visible
// link works.
func (w *world) checkPromises() {
	w.t.Helper()
	for _, c := range w.clients {
		status, _ := c.call("GET", "/api/links/"+c.slug, manager, nil)
		switch {
		case status == http.StatusOK && !c.possible[present], status == http.StatusNotFound && !c.possible[absent]:
			w.t.Errorf("%s: status %d, but the possible states are %v", c.slug, status, c.possible)
		case status == http.StatusOK:
			c.checkToken()
			c.is(present)
		case status == http.StatusNotFound:
			c.is(absent)
		default:
			w.t.Errorf("%s: status %d", c.slug, status)
		}
	}
}

// checkInterruptions checks that the kills interrupted something.
func (w *world) checkInterruptions() {
	w.t.Helper()
	lost, answered, between := 0, 0, 0
	for _, c := range w.clients {
		lost, answered = lost+c.lostAnswers, answered+c.answers
		row, err := w.store.Get(w.t.Context(), link.Slug(c.slug))
		if err == nil && (row.Phase != link.Live && row.Phase != link.Tombstone || row.Change != nil || len(row.Discard) > 0) {
			between++
		}
	}
	w.t.Logf("%d answers, %d lost; %d links left in between", answered, lost, between)
	if lost < 5 || answered < 5 {
		w.t.Errorf("of %d answers %d were lost: the kills come too early or too late", answered+lost, lost)
	}
}

// ageUnfinishedWork moves the start of unfinished work back by 20 minutes, because the timer
// ignores what may still be running.
func (w *world) ageUnfinishedWork() {
	w.t.Helper()
	const ago = 20 * time.Minute
	for _, c := range w.clients {
		_, err := w.store.Update(w.t.Context(), link.Slug(c.slug), func(l link.Link) (link.Link, error) {
			l.PhaseSince = l.PhaseSince.Add(-ago)
			if l.Change != nil {
				l.Change = &link.Change{ID: l.Change.ID, Since: l.Change.Since.Add(-ago)}
			}
			return l, nil
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			w.t.Fatal(err)
		}
	}
}

// checkRest checks behind the API that no row is half done, and that the vault holds the secrets
// of live links and no others.
func (w *world) checkRest() {
	w.t.Helper()
	var named []string
	for _, c := range w.clients {
		row, err := w.store.Get(w.t.Context(), link.Slug(c.slug))
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			w.t.Fatal(err)
		case row.Phase != link.Live && row.Phase != link.Tombstone, row.Change != nil, len(row.Discard) > 0:
			w.t.Errorf("%s is still %s, change %v, discard %q", c.slug, row.Phase, row.Change, row.Discard)
		}
		if row.Phase == link.Live {
			named = append(named, w.inVault(row))
			w.checkVersions(row)
		}
	}
	slices.Sort(named)
	if held := w.cloud.Vault.Store.Names(); !slices.Equal(held, named) {
		w.t.Errorf("the vault holds %q, the live links name %q", held, named)
	}
	if output := w.output.String(); strings.Contains(output, "canary") {
		w.t.Errorf("a secret was printed:\n%s", output)
	}
}

// inVault returns the name of the link's secret in the vault.
func (w *world) inVault(row link.Link) string {
	w.t.Helper()
	_, local, err := secret.SplitName(row.Secret.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	return local
}

func (w *world) checkVersions(row link.Link) {
	w.t.Helper()
	enabled := w.cloud.Vault.Store.Enabled(w.inVault(row))
	if !slices.Contains(enabled, row.Secret.Version) {
		w.t.Errorf("%s names version %s, which is not among %q", row.Slug, row.Secret.Version, enabled)
	}
	for _, version := range enabled {
		if version != row.Secret.Version && version != row.Secret.Previous {
			w.t.Errorf("%s: version %s is enabled, but no link names it", row.Slug, version)
		}
	}
}

// state is what a client knows about its link.
type state string

const (
	absent  state = "absent"
	present state = "present"
)

// client has one slug to itself, so it knows what must be there. possible holds the states that
// are possible after the answers that it got and those that were lost.
type client struct {
	*world
	slug     string
	possible map[state]bool
	unsure   bool // an answer was lost: unfinished work may block the slug for a minute
	random   *rand.Rand

	answers, lostAnswers int
	removed              bool // a deletion was acknowledged, or may have been, since the last registration
}

func (c *client) is(s state) { c.possible = map[state]bool{s: true} }

// The roles of the callers.
const (
	manager = "Links.Manage.All"
	app     = "Links.Token.All"
)

func (c *client) act() {
	switch c.random.IntN(6) {
	case 0, 1, 2:
		c.register()
	case 3:
		c.setSecret()
	case 4:
		c.token()
	case 5:
		c.remove()
	}
}

func (c *client) register() {
	status, body := c.call("POST", "/api/register", manager, c.cloud.Registration(c.slug))
	switch status {
	case http.StatusCreated:
		c.expect(absent, "register", status)
		c.removed = false
		c.is(present)
	case http.StatusConflict:
		if !c.possible[present] && !c.unsure {
			c.t.Errorf("%s: register: %s, but it is %v", c.slug, body, c.possible)
		}
	default:
		c.lost("register", status, body)
		c.possible[present] = true
	}
}

func (c *client) setSecret() {
	value := []string{cloudtest.Secret, cloudtest.NextSecret}[c.random.IntN(2)]
	status, body := c.call("PUT", "/api/links/"+c.slug+"/secret", manager, map[string]string{"clientSecret": value})
	switch status {
	case http.StatusOK:
		c.expect(present, "new secret", status)
		c.is(present)
	case http.StatusNotFound:
		c.expect(absent, "new secret", status)
		c.is(absent)
	case http.StatusPreconditionFailed:
		if !c.unsure {
			c.t.Errorf("%s: new secret: %s", c.slug, body)
		}
	default:
		c.lost("new secret", status, body)
	}
}

func (c *client) remove() {
	status, body := c.call("DELETE", "/api/links/"+c.slug, manager, nil)
	switch status {
	case http.StatusNoContent:
		if !c.removed { // the answer to a deletion is repeated for a minute
			c.expect(present, "delete", status)
		}
		c.removed = true
		c.is(absent)
	case http.StatusNotFound:
		c.expect(absent, "delete", status)
		c.is(absent)
	default:
		c.removed = true
		c.lost("delete", status, body)
		c.possible[absent] = true
	}
}

func (c *client) token() {
	status, body := c.call("POST", "/api/token", app, map[string]string{"slug": c.slug})
	switch status {
	case http.StatusOK:
		c.expect(present, "token", status)
		c.is(present)
	case http.StatusBadRequest:
		if !bytes.Contains(body, []byte("invalid_target")) {
			c.t.Errorf("%s: token: %s", c.slug, body)
		}
		c.expect(absent, "token", status)
		c.is(absent)
	default:
		c.lost("token", status, body)
	}
}

// checkToken checks the invariant of every visible link.
func (c *client) checkToken() {
	c.t.Helper()
	if status, body := c.call("POST", "/api/token", app, map[string]string{"slug": c.slug}); status != http.StatusOK {
		c.t.Errorf("%s can be seen, but its token is %d: %s", c.slug, status, body)
	}
}

func (c *client) expect(s state, what string, status int) {
	if !c.possible[s] {
		c.t.Errorf("%s: %s: status %d, but it is %v", c.slug, what, status, c.possible)
	}
}

// lost records an answer that a kill swallowed: the host's own 500 is empty. Any other failure is an
// error.
func (c *client) lost(what string, status int, body []byte) {
	c.unsure = true
	c.lostAnswers++
	hosts := status == http.StatusInternalServerError && len(body) == 0
	if !hosts && status != http.StatusBadGateway && status != http.StatusServiceUnavailable {
		c.t.Errorf("%s: %s: status %d: %s", c.slug, what, status, body)
	}
}

// call sends JSON. The status is 502 when there was no answer.
func (c *client) call(method, path, role string, body any) (status int, answer []byte) {
	payload, err := json.Marshal(body)
	if err != nil {
		c.t.Error(err)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader(payload))
	if err != nil {
		c.t.Error(err)
		return http.StatusBadGateway, nil
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.cloud.App(cloudtest.Tenant, role))
	r.Header.Set("If-Match", "*")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	c.answers++
	return response.StatusCode, answer
}
