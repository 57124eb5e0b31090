package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"fhirlink/shared/secret"
)

// personalTenant is the tenant of personal Microsoft accounts, which is not an organization.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// developmentStorage is the meaning of UseDevelopmentStorage=true: Azurite's well-known account
// and key. The key is the same everywhere and not secret (Microsoft Learn, "Connect to Azurite").
const developmentStorage = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;" +
	"AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;" +
	"TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"

// reader reads settings and collects their mistakes.
type reader struct {
	lookup   Lookup
	problems []error
}

func (e *reader) get(name string) string {
	value, _ := e.lookup(name)
	return strings.TrimSpace(value)
}

func (e *reader) addProblem(name, message string) {
	e.problems = append(e.problems, &Problem{Name: name, Message: message})
}

// list parses the comma-separated elements of a setting. Empty elements are ignored, but a
// setting must have at least one element if it is set.
func list[T any](e *reader, name string, parse func(string) (T, error)) []T {
	var all []T
	text := e.get(name)
	position, entries := 0, 0
	for element := range strings.SplitSeq(text, ",") {
		position++
		if element = strings.TrimSpace(element); element == "" {
			continue
		}
		entries++
		value, err := parse(element)
		if err != nil {
			e.addProblem(name, fmt.Sprintf("entry %d %v", position, err))
			continue
		}
		all = append(all, value)
	}
	if text != "" && entries == 0 {
		e.addProblem(name, "is set but has no entry")
	}
	return all
}

// url reads the URL of a service, which check may refuse. The result has no trailing slash.
func (e *reader) url(name string, check func(*url.URL) error) string {
	text := e.get(name)
	if text == "" {
		return ""
	}
	u, err := serviceURL(text, check)
	if err != nil {
		e.addProblem(name, err.Error())
		return ""
	}
	return withoutSlash(u)
}

func serviceURL(text string, check func(*url.URL) error) (*url.URL, error) {
	u, err := parseURL(text)
	if err == nil {
		err = check(u)
	}
	return u, err
}

func withoutSlash(u *url.URL) string { return strings.TrimRight(u.String(), "/") }

// parseURL accepts absolute URLs without user info, query and fragment. Its errors do not repeat
// the text, which may be a SAS URL.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return nil, errors.New("is not an absolute URL such as https://host")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("must be a URL without user name, query and fragment")
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// tableURL allows http on loopback only, for Azurite. Its path is the account's name.
func tableURL(u *url.URL) error {
	if !isEncrypted(u) {
		return errors.New("must be https, e.g. https://contoso.table.core.windows.net")
	}
	return nil
}

// isEncrypted reports whether u is https, or http that never leaves the machine.
func isEncrypted(u *url.URL) bool {
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

func (e *reader) connectionString() secret.Value {
	text := e.get(TableConnectionString)
	if text == "" {
		return secret.Value{}
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if key, value, ok := strings.Cut(part, "="); ok {
			parts[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	if strings.EqualFold(parts["usedevelopmentstorage"], "true") {
		return secret.New(developmentStorage)
	}
	account := parts["accountname"] != "" && parts["accountkey"] != ""
	shared := parts["tableendpoint"] != "" && parts["sharedaccesssignature"] != ""
	if !account && !shared {
		e.addProblem(TableConnectionString, "is not a storage connection string. It needs AccountName and AccountKey, or TableEndpoint and SharedAccessSignature, or is UseDevelopmentStorage=true")
	}
	return secret.New(text)
}

// authority reads the only host that client secrets are sent to.
func (e *reader) authority() string {
	text := e.get(AuthorityHost)
	if text == "" {
		return DefaultAuthority
	}
	u, err := parseURL(text)
	if err != nil || u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		e.addProblem(AuthorityHost, "must be https and a host without a path, e.g. "+DefaultAuthority+" (the tenant is added by us)")
		return ""
	}
	return "https://" + u.Host + "/"
}

var guidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func parseGUID(text string) (string, error) {
	guid := strings.ToLower(text)
	if !guidPattern.MatchString(guid) {
		return "", errors.New("is not a GUID such as 11111111-1111-4111-8111-111111111111")
	}
	return guid, nil
}

func (e *reader) guid(name string) string {
	text := e.get(name)
	if text == "" {
		return ""
	}
	guid, err := parseGUID(text)
	if err != nil {
		e.addProblem(name, err.Error())
	}
	return guid
}

// audiences reads client ids. Tokens in format 2.0 carry nothing else, but an API with a
// requirement of its own may list its application ID URI as well.
func (e *reader) audiences() []string {
	return list(e, APIAudience, func(text string) (string, error) {
		if u, err := url.Parse(text); err == nil && (u.Scheme == "api" || u.Scheme == "https") && u.Host != "" {
			return text, nil
		}
		guid, err := parseGUID(text)
		if err != nil {
			return "", errors.New("is neither a client id (GUID) nor an application ID URI (api://…)")
		}
		return guid, nil
	})
}

func (e *reader) tenants() []string {
	if e.get(AllowedTenants) == "*" {
		return []string{"*"}
	}
	return list(e, AllowedTenants, parseTenant)
}

func (e *reader) operator() string {
	guid := e.guid(OperatorTenant)
	if guid == personalTenant {
		e.addProblem(OperatorTenant, "is the tenant of personal Microsoft accounts, which is no organization")
	}
	return guid
}

func parseTenant(text string) (string, error) {
	guid, err := parseGUID(text)
	switch {
	case text == "*":
		return "", errors.New("is *, which must stand alone")
	case err != nil:
		return "", err
	case guid == personalTenant:
		return "", errors.New("is the tenant of personal Microsoft accounts, which is no organization")
	}
	return guid, nil
}

// parseOrigin accepts what a browser sends as Origin: lower case, no path, no default port.
func parseOrigin(text string) (string, error) {
	u, err := parseURL(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" {
		return "", errors.New("is not an origin such as https://app.contoso.com (scheme, host and port only, no trailing slash, no *)")
	}
	if strings.Contains(u.Host, "*") {
		return "", errors.New("has a wildcard; list every origin by itself")
	}
	origin := u.Scheme + "://" + u.Host
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		origin = strings.TrimSuffix(origin, ":"+port)
	}
	return origin, nil
}

// publicURL reads the origin of this deployment itself. It is https, or http on loopback.
func (e *reader) publicURL() string {
	text := e.get(PublicURL)
	if text == "" {
		return ""
	}
	origin, err := parseOrigin(text)
	if u, failed := url.Parse(origin); err != nil || failed != nil || !isEncrypted(u) {
		e.addProblem(PublicURL, "is not an origin such as https://links.contoso.com: scheme, host and port only, no path and no trailing slash; http on loopback only")
		return ""
	}
	return origin
}

func (e *reader) maxLinks() int {
	return e.number(MaxLinks, DefaultMaxLinks, func(n int) bool { return n > 0 }, "above 0")
}

func (e *reader) trailDays() int {
	return e.number(TrailDays, DefaultTrailDays, func(n int) bool { return 30 <= n && n <= 3650 }, "of days from 30 to 3650")
}

// number reads a whole number. which says in words what fits accepts.
func (e *reader) number(name string, unset int, fits func(int) bool, which string) int {
	text := e.get(name)
	if text == "" {
		return unset
	}
	n, err := strconv.Atoi(text)
	if err != nil || !fits(n) {
		e.addProblem(name, "must be a whole number "+which)
	}
	return n
}
