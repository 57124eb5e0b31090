package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
)

// banner prints what to do next, in commands that can be copied as they are.
func (p *program) banner(ctx context.Context, out io.Writer, addr net.Addr, publicURL string, o options) {
	url := "http://" + addr.String()
	var b strings.Builder
	fmt.Fprintf(&b, "Open %s/api/manage/ in a browser: the page to link FHIR servers.\n", publicURL)
	if p.app != "" {
		fmt.Fprintf(&b, "Try a SMART app: %s\n", p.app)
	}
	b.WriteString("\n")
	if p.hint != "" {
		fmt.Fprintf(&b, "%s\n\n", p.hint)
	}
	fmt.Fprintf(&b, "fhirlink answers on %s (this machine only). Its data is in %s. Ctrl-C stops it.\n", url, o.data)
	if o.ahead > 0 {
		fmt.Fprintf(&b, "The clock is moved forward: it is %s now. Start over with another -data folder to go back.\n", o.ahead.now().UTC().Format(time.RFC3339))
	}
	links, _, err := p.links.List(ctx, localOrganization, link.Filter{}, 1, "")
	switch {
	case err != nil:
		fmt.Fprintf(&b, "The links in the data folder cannot be read: %v\n", err)
	case len(links) > 0:
		nextSteps(&b, url, links[0])
	case o.sandbox:
		firstSteps(&b, url, o.ahead.now())
	}
	fmt.Fprintf(&b, "\nWhat else there is: %[1]s/api/openapi.yaml; numbers for Prometheus: %[1]s%[2]s\n\n", url, metricsPath)
	_, _ = io.WriteString(out, b.String()) // without a terminal no one reads it
}

// firstSteps is the text for a data folder without links.
func firstSteps(b *strings.Builder, url string, now time.Time) {
	fmt.Fprintf(b, `
Or, in another terminal, link the sandbox's FHIR server:

  curl -s %[1]s/api/register -H 'Content-Type: application/json' -d '{
    "slug": "good-health-clinic",
    "description": "Good Health Clinic",
    "fhirServerUrl": "https://clinic.fhir.sandbox.test/metadata",
    "clientId": "%[2]s",
    "clientSecret": "%[3]s",
    "secretExpiresOn": "%[4]s"
  }'

get an access token for it:

  curl -s %[1]s/api/token -d grant_type=client_credentials -d slug=good-health-clinic

and translate SMART scopes for Microsoft Entra:

  curl -sG %[1]s/api/translate-scope --data-urlencode 'scope=patient/Observation.rs openid'

Other servers to try in place of "clinic": %[5]s.
`, url, sandbox.ClientID, splitForShell(sandbox.Secret), date.Of(now).AddDays(365), strings.Join(sandbox.Scenarios()[1:], ", "))
}

// nextSteps is the text for a data folder that has links already.
func nextSteps(b *strings.Builder, url string, l link.Link) {
	fmt.Fprintf(b, `
In another terminal, list your links, and get an access token for one:

  curl -s %[1]s/api/links
  curl -s %[1]s/api/token -d grant_type=client_credentials -d slug=%[2]s
`, url, l.Slug)
}

// splitForShell splits the sandbox's secret so that the shell joins it. The program never prints a
// client secret, not even this one, so that a search for it in the output finds leaks only.
func splitForShell(secret string) string { return strings.Replace(secret, "-secret-", "-'secret'-", 1) }
