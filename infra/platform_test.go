package infra_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A new site accepts one change at a time, and answers 409 to others.
func TestSiteIsChangedInOrder(t *testing.T) {
	app := read(t, "modules/app.bicep")
	order := []string{"settings", "noScmPassword", "noFtpPassword"}
	var before []string
	for _, name := range order {
		r, ok := find(app.resources, name)
		if !ok || r.body.at("parent").text != "app" {
			t.Fatalf("modules/app.bicep has no %s of the site", name)
		}
		var waits []string
		for _, v := range r.body.at("dependsOn").array {
			waits = append(waits, v.text)
		}
		if !slices.Equal(waits, before) {
			t.Errorf("%s waits for %q, want %q", name, waits, before)
		}
		before = []string{name}
	}
	for _, r := range app.resources {
		if r.body.at("parent").text == "app" && !slices.Contains(order, r.name) {
			t.Errorf("%s changes the site, too: let it wait for the others", r.name)
		}
	}
}

// A private network has a way to the internet unless the operator brings another one.
func TestPrivateNetworkHasAWayOut(t *testing.T) {
	main := read(t, "main.bicep")
	if p, ok := find(main.params, "natGateway"); !ok || p.of != "bool" || p.body.text != "true" {
		t.Errorf("the parameter natGateway is %q by default", p.body.text)
	}
	network := read(t, "modules/network.bicep")
	for _, name := range []string{"address", "gateway"} {
		if r, ok := find(network.resources, name); !ok || !strings.Contains(r.text, " = if (natGateway) {\n") || r.body.at("sku", "name").text != "'Standard'" {
			t.Errorf("%s does not depend on the parameter, or is not of the kind that a NAT gateway needs", name)
		}
	}
	gateway, _ := find(network.resources, "gateway")
	if got := gateway.body.at("properties", "publicIpAddresses").array; len(got) != 1 || got[0].at("id").text != "address.id" {
		t.Errorf("the gateway's addresses are %+v", got)
	}
	vnet, _ := find(network.resources, "network")
	for _, subnet := range vnet.body.at("properties", "subnets").array {
		want := ""
		if subnet.at("name").literal() == "app" {
			want = "natGateway ? { id: gateway.id } : null"
		}
		if got := strings.Join(strings.Fields(subnet.at("properties", "natGateway").text), " "); got != want {
			t.Errorf("the subnet %s: natGateway is %q, want %q", subnet.at("name").text, got, want)
		}
	}
}

// bicep format breaks lines that are longer than 120 characters, if they are choices or calls.
func TestLongLinesAreBroken(t *testing.T) {
	breakable := regexp.MustCompile(`^[^']* \? | = \w+\(`)
	for _, tmpl := range templates(t) {
		query := false
		for n, line := range strings.Split(contents(t, tmpl.file), "\n") {
			query = query != (strings.Count(line, "'''") == 1)
			code, _, _ := strings.Cut(line, " // ")
			if !query && len(code) > 120 && !strings.HasPrefix(line, "@description(") && breakable.MatchString(code) {
				t.Errorf("%s:%d: bicep format would break this line of %d characters", tmpl.file, n+1, len(code))
			}
		}
	}
}

// A warning is silenced only where it is wrong, with the reason beside it.
func TestSilencedWarnings(t *testing.T) {
	var found []string
	for _, tmpl := range templates(t) {
		for _, m := range regexp.MustCompile(`(?m)^\s*#(.*)\n(.*)$`).FindAllStringSubmatch(contents(t, tmpl.file), -1) {
			directive := regexp.MustCompile(`^disable-next-line ([a-z-]+) // \S.{10,}$`).FindStringSubmatch(m[1])
			words := strings.Fields(m[2])
			if directive == nil || len(words) < 2 {
				t.Errorf("%s: #%s is no #disable-next-line of one rule with a reason", tmpl.file, m[1])
				continue
			}
			found = append(found, tmpl.file+" "+directive[1]+" "+words[1])
		}
	}
	want := []string{"main.bicep secure-secrets-in-params secretExpirySchedule", "modules/app.bicep secure-secrets-in-params secretExpirySchedule"}
	if !slices.Equal(found, want) {
		t.Errorf("silenced are %q, want %q", found, want)
	}
}

// The host logs at Warning, except what the alerts, the workbook and the runbook read: a category
// at Information fills each table that a query names. Information of the others is two traces for
// each request, which nothing reads.
func TestHostLogsWhatQueriesRead(t *testing.T) {
	filledBy := map[string]string{
		"AppTraces":   "Host.Function.Console", // the program's lines on stdout and stderr
		"AppRequests": "Host.Results",
	}
	var host struct {
		Logging struct{ LogLevel map[string]string }
	}
	if err := json.Unmarshal([]byte(contents(t, filepath.Join(root, "host.json"))), &host); err != nil {
		t.Fatal(err)
	}
	levels := host.Logging.LogLevel
	var queries strings.Builder
	for _, file := range []string{"workbook.json", "modules/alerts.bicep", "README.md"} {
		queries.WriteString(contents(t, file))
	}
	tables := regexp.MustCompile(`\bApp(Traces|Requests|Exceptions|Dependencies|Events|Metrics|PerformanceCounters)\b`).FindAllString(queries.String(), -1)
	slices.Sort(tables)
	tables = slices.Compact(tables)
	if len(tables) != len(filledBy) {
		t.Errorf("queries read %q: say in this test what fills them", tables)
	}
	for _, table := range tables {
		if category := filledBy[table]; levels[category] != "Information" {
			t.Errorf("queries read %s, but host.json logs %q at %q", table, category, levels[category])
		}
	}
	for category, want := range map[string]string{
		"default": "Warning", "Host.Results": "Information", "Host.Function.Console": "Information",
		"Host.Startup": "Information", "Host.General": "Information", // what the host does at a start, and why one fails
	} {
		if levels[category] != want {
			t.Errorf("host.json logs %s at %q, want %s", category, levels[category], want)
		}
	}
	if len(levels) != 5 {
		t.Errorf("host.json has the levels %v", levels)
	}
}

// The host's own events would need a role on the storage account's tables, and its page at / tells
// strangers what runs there.
func TestHostKeepsQuiet(t *testing.T) {
	settings := appSettings(t)
	if got := settings.at("AzureWebJobsFeatureFlags").text; got != "'DisableDiagnosticEventLogging'" {
		t.Errorf("AzureWebJobsFeatureFlags is %s", got)
	}
	if got := settings.at("AzureWebJobsDisableHomepage").text; got != "'true'" {
		t.Errorf("AzureWebJobsDisableHomepage is %s", got)
	}
}
