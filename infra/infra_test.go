package infra_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fhirlink/shared/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const root = ".."

func golden(t *testing.T, name string, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := contents(t, file)
	if got == want {
		return
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			t.Errorf("no longer: %s", line)
		}
	}
	for line := range strings.Lines(got) {
		if !strings.Contains(want, line) {
			t.Errorf("new:       %s", line)
		}
	}
	t.Errorf("%s differs. If the change is intended: go test ./infra -update", file)
}

// uniqueString stands for the result of Bicep's function: 13 lower-case letters and digits.
const uniqueString = "abcdefghijklm"

// rule is what Azure allows as a name (Microsoft Learn, "Naming rules and restrictions for Azure
// resources").
type rule struct {
	longest int
	pattern string
}

var rules = map[string]rule{
	"Microsoft.Resources/resourceGroups":                        {90, `^[\w.()-]*[\w()-]$`},
	"Microsoft.ManagedIdentity/userAssignedIdentities":          {128, `^[A-Za-z0-9][\w-]{2,}$`},
	"Microsoft.OperationalInsights/workspaces":                  {63, `^[A-Za-z0-9][A-Za-z0-9-]{2,}[A-Za-z0-9]$`},
	"Microsoft.Insights/components":                             {255, `^[\w.()-]*[\w()-]$`},
	"Microsoft.Insights/workbooks":                              {36, `^[0-9a-f-]{36}$`},
	"Microsoft.Insights/actionGroups":                           {260, `^[^:<>+/&%\\?|]*[^:<>+/&%\\?| .]$`},
	"Microsoft.Insights/metricAlerts":                           {260, `^[^*#&+:<>?@%{}\\/]*[^*#&+:<>?@%{}\\/ .]$`},
	"Microsoft.Insights/scheduledQueryRules":                    {260, `^[^*<>%{}&:\\?/#]*[^*<>%{}&:\\?/# .]$`},
	"Microsoft.Insights/diagnosticSettings":                     {260, `^[\w-]+$`},
	"Microsoft.Storage/storageAccounts":                         {24, `^[a-z0-9]{3,}$`},
	"Microsoft.Storage/storageAccounts/blobServices":            {7, `^default$`},
	"Microsoft.Storage/storageAccounts/blobServices/containers": {63, `^[a-z0-9](-?[a-z0-9])+$`},
	"Microsoft.Storage/storageAccounts/tableServices":           {7, `^default$`},
	"Microsoft.Storage/storageAccounts/tableServices/tables":    {63, `^[A-Za-z][A-Za-z0-9]{2,}$`},
	"Microsoft.KeyVault/vaults":                                 {24, `^[A-Za-z](-?[A-Za-z0-9])+$`},
	"Microsoft.KeyVault/vaults/keys":                            {127, `^[A-Za-z0-9-]+$`},
	"Microsoft.Web/serverfarms":                                 {60, `^[A-Za-z0-9-]+$`},
	"Microsoft.Web/sites":                                       {32, `^[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]$`}, // 60, but the host id is the first 32 characters
	"Microsoft.Web/sites/config":                                {11, `^appsettings$`},
	"Microsoft.Web/sites/basicPublishingCredentialsPolicies":    {3, `^(scm|ftp)$`},
	"Microsoft.Network/virtualNetworks":                         {64, `^[A-Za-z0-9][\w.-]*\w$`},
	"Microsoft.Network/natGateways":                             {80, `^[A-Za-z0-9][\w.-]*\w$`},
	"Microsoft.Network/publicIPAddresses":                       {80, `^[A-Za-z0-9][\w.-]*\w$`},
	"Microsoft.Network/privateEndpoints":                        {64, `^[A-Za-z0-9][\w.-]*\w$`},
	"Microsoft.Network/privateEndpoints/privateDnsZoneGroups":   {80, `^[\w.-]+$`},
	"Microsoft.Network/privateDnsZones":                         {63, `^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`},
	"Microsoft.Network/privateDnsZones/virtualNetworkLinks":     {80, `^[A-Za-z0-9][\w.-]*\w$`},
	"Microsoft.EventGrid/topics":                                {50, `^[A-Za-z0-9-]{3,}$`},
	"Microsoft.EventGrid/systemTopics":                          {50, `^[A-Za-z0-9-]{3,}$`},
	"Microsoft.Authorization/locks":                             {90, `^[\w.()-]*[\w()-]$`},
	"Microsoft.Authorization/roleAssignments":                   {36, `^[0-9a-f-]{36}$`},
}

func TestResources(t *testing.T) {
	all := templates(t)
	var lines []string
	for _, tmpl := range all {
		for _, r := range tmpl.resources {
			if r.existing {
				continue
			}
			rule, known := rules[typeOf(r)]
			if !known {
				t.Errorf("%s: %s: add the naming rule for %s to this test", tmpl.file, r.name, typeOf(r))
			}
			for _, name := range names(t, all, tmpl, r) {
				if len(name) > rule.longest || !regexp.MustCompile(rule.pattern).MatchString(name) {
					t.Errorf("%s: %s: Azure refuses the name %q (%d characters, at most %d, %s)", tmpl.file, r.name, name, len(name), rule.longest, rule.pattern)
				}
				line := fmt.Sprintf("%s %s %s %s (%d of %d)", tmpl.file, r.name, r.of, name, len(name), rule.longest)
				if r.conditional {
					line += " optional"
				}
				lines = append(lines, line)
			}
		}
	}
	slices.Sort(lines)
	golden(t, "resources.golden", strings.Join(slices.Compact(lines), "\n")+"\n")
}

// names returns the names of a resource, one for each use of its module.
func names(t *testing.T, all []template, tmpl template, r declaration) []string {
	t.Helper()
	text := r.body.at("name").text
	if strings.HasPrefix(text, "guid(") {
		return []string{"00000000-0000-0000-0000-000000000000"}
	}
	if tmpl.file == "main.bicep" {
		return []string{evaluate(t, tmpl, nil, text)}
	}
	var out []string
	for _, caller := range all {
		for _, m := range caller.modules {
			if filepath.ToSlash(filepath.Join(filepath.Dir(caller.file), m.of)) != tmpl.file {
				continue
			}
			for _, own := range arguments(t, all, caller, m) {
				out = append(out, evaluate(t, tmpl, own, text))
			}
		}
	}
	return out
}

// arguments returns the values of a module's string parameters, once for each use of its caller.
func arguments(t *testing.T, all []template, caller template, m declaration) []map[string]string {
	t.Helper()
	outer := []map[string]string{nil}
	if caller.file != "main.bicep" {
		outer = nil
		for _, c := range all {
			for _, use := range c.modules {
				if filepath.ToSlash(filepath.Join(filepath.Dir(c.file), use.of)) == caller.file {
					outer = append(outer, arguments(t, all, c, use)...)
				}
			}
		}
	}
	var out []map[string]string
	for _, o := range outer {
		own := map[string]string{}
		for k, v := range m.body.at("params").object {
			if p, chosen := find(caller.params, v.text); chosen && o == nil {
				if name := p.body.literal(); name != "" {
					own[k] = name // unless the operator chooses another one
				}
				continue
			}
			if regexp.MustCompile(`(?i)^(name|.*Name|prefix|.*Suffix|groupId)$`).MatchString(k) && !strings.Contains(v.text, ".outputs.") {
				own[k] = evaluate(t, caller, o, v.text)
			}
		}
		out = append(out, own)
	}
	return out
}

// evaluate returns the text of an expression that makes a name.
func evaluate(t *testing.T, tmpl template, own map[string]string, text string) string {
	t.Helper()
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "'") {
		literal := strings.Trim(text, "'")
		return regexp.MustCompile(`\$\{([^}]+)\}`).ReplaceAllStringFunc(literal, func(s string) string {
			return evaluate(t, tmpl, own, s[2:len(s)-1])
		})
	}
	if v, ok := own[text]; ok {
		return v
	}
	if of, key, ok := strings.Cut(text, "."); ok && tmpl.vars[of].object != nil {
		return evaluate(t, tmpl, own, tmpl.vars[of].at(key).text)
	}
	switch text {
	case "token":
		return uniqueString
	case "environmentName":
		return "environment"
	case "generation":
		return "1"
	case "vault.name":
		return "a"
	case "environment().suffixes.storage":
		return "core.windows.net"
	}
	if v, ok := tmpl.vars[text]; ok {
		return evaluate(t, tmpl, own, v.text)
	}
	// The first or last branch of a choice is our name; the other is one that the operator
	// chose.
	if _, choice, ok := strings.Cut(text, " ? "); ok {
		first, second, _ := strings.Cut(choice, " : ")
		if strings.HasPrefix(first, "'") && !strings.HasPrefix(second, "'") {
			return evaluate(t, tmpl, own, first)
		}
		return evaluate(t, tmpl, own, second)
	}
	t.Fatalf("%s: this test cannot evaluate the name %q", tmpl.file, text)
	return ""
}

// roleNames are the built-in roles that may be assigned (Microsoft Learn, "Azure built-in
// roles"). Roles that can assign roles are not among them.
var roleNames = map[string]string{
	"3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
	"b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
	"0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
	"b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
	"12338af0-0e69-4776-bea7-57ae8d297424": "Key Vault Crypto User",
	"d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
}

func TestRoles(t *testing.T) {
	var lines []string
	for _, tmpl := range templates(t) {
		for _, r := range tmpl.resources {
			if typeOf(r) != "Microsoft.Authorization/roleAssignments" {
				continue
			}
			lines = append(lines, role(t, tmpl, r))
		}
	}
	slices.Sort(lines)
	golden(t, "roles.golden", strings.Join(lines, "\n")+"\n")
}

func role(t *testing.T, tmpl template, r declaration) string {
	t.Helper()
	scope, ok := find(tmpl.resources, r.body.at("scope").text)
	if !ok {
		t.Fatalf("%s: %s is given on more than one resource: %q", tmpl.file, r.name, r.body.at("scope").text)
	}
	properties := r.body.at("properties")
	m := regexp.MustCompile(`^subscriptionResourceId\('Microsoft.Authorization/roleDefinitions', (\w+)\)$`).FindStringSubmatch(properties.at("roleDefinitionId").text)
	if m == nil {
		t.Fatalf("%s: %s gives no built-in role", tmpl.file, r.name)
	}
	id := tmpl.vars[m[1]].literal()
	if roleNames[id] == "" {
		t.Errorf("%s: %s gives an unknown role %s", tmpl.file, r.name, id)
	}
	if !strings.Contains(r.body.at("name").text, scope.name+".id") || !strings.Contains(r.body.at("name").text, m[1]) {
		t.Errorf("%s: the name of %s does not tell scope and role apart from others", tmpl.file, r.name)
	}
	return fmt.Sprintf("%s %s on %s (%s) to %s, a %s", id, roleNames[id], typeOf(scope), scope.name,
		strings.TrimPrefix(properties.at("principalId").text, "identity.properties."), properties.at("principalType").literal())
}

// constants returns the strings that a Go file declares as constants.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, v := range spec.Values {
			if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				found[spec.Names[i].Name], err = strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		return true
	})
	return found
}

// programSettings returns the settings that the program reads: those that package config names.
func programSettings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "shared", "config", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`^(FHIRLINK|AZURE|FUNCTIONS)_[A-Z_]+$`)
	var out []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, value := range constants(t, filepath.Join("shared", "config", filepath.Base(file))) {
			if setting.MatchString(value) {
				out = append(out, value)
			}
		}
	}
	if len(out) < 10 {
		t.Fatalf("shared/config names only %q", out)
	}
	return out
}

// scheduleSettings returns the settings that function.json files name in %…%.
func scheduleSettings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "functions", "*", "function.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("function.json files: %v, %v", files, err)
	}
	var out []string
	for _, file := range files {
		for _, m := range regexp.MustCompile(`%(\w+)%`).FindAllStringSubmatch(contents(t, file), -1) {
			out = append(out, m[1])
		}
	}
	if len(out) == 0 {
		t.Fatal("no function.json names a setting: where is the timer's schedule?")
	}
	return out
}

// appSettings returns the settings of the function app.
func appSettings(t *testing.T) value {
	t.Helper()
	return resource(t, read(t, "modules/app.bicep"), "Microsoft.Web/sites/config").body.at("properties")
}

func TestSettings(t *testing.T) {
	// The connection string is for shared keys, which this account refuses. Core Tools set the
	// other on a developer's machine.
	not := []string{"FHIRLINK_TABLE_CONNECTION_STRING", "FUNCTIONS_CORETOOLS_ENVIRONMENT"}
	want := slices.DeleteFunc(append(programSettings(t), scheduleSettings(t)...), func(s string) bool { return slices.Contains(not, s) })
	settings := appSettings(t)
	got := slices.DeleteFunc(slices.Clone(settings.keys), func(s string) bool {
		return !strings.HasPrefix(s, "FHIRLINK_") && s != "AZURE_CLIENT_ID"
	})
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("modules/app.bicep sets\n%q, the program reads\n%q", got, want)
	}
	var lines []string
	for _, k := range settings.keys {
		lines = append(lines, k+" = "+settings.at(k).text)
	}
	golden(t, "settings.golden", strings.Join(lines, "\n")+"\n")
}

func TestSchedules(t *testing.T) {
	var example struct{ Values map[string]string }
	if err := json.Unmarshal([]byte(contents(t, filepath.Join(root, "local.settings.json.example"))), &example); err != nil {
		t.Fatal(err)
	}
	if got := example.Values["FUNCTIONS_WORKER_RUNTIME"]; got != "custom" {
		t.Errorf("local.settings.json.example has the runtime %q", got)
	}
	schedule, ok := find(read(t, "main.bicep").params, "secretExpirySchedule")
	if !ok {
		t.Fatal("main.bicep has no parameter secretExpirySchedule")
	}
	settings := appSettings(t)
	for _, name := range scheduleSettings(t) {
		if settings.at(name).text != "secretExpirySchedule" {
			t.Errorf("%s is %q in modules/app.bicep: a function.json names it as its schedule", name, settings.at(name).text)
		}
		if example.Values[name] != schedule.body.literal() {
			t.Errorf("%s is %q in local.settings.json.example and %q in main.bicep", name, example.Values[name], schedule.body.literal())
		}
	}
	hostOnly := []string{"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
	known := slices.Concat(hostOnly, programSettings(t), scheduleSettings(t))
	for name := range example.Values {
		if !slices.Contains(known, name) {
			t.Errorf("local.settings.json.example sets %s, which nothing reads", name)
		}
	}
}

// A custom handler with an extension bundle would wait for its download at every cold start. The
// alert server-errors counts requests, so sampling must leave them alone. Queries must not be recorded:
// that of a sign-in's answer holds Entra's code. The host's records of requests leave them out unless
// enableQueryStringTracing is on (azure-webjobs-sdk 3026); those of its own calls, which are a dependency
// of the host when it forwards to the program, have them whole (azure-functions-host 11602).
func TestHostFile(t *testing.T) {
	var host struct {
		ExtensionBundle any
		Extensions      struct{ HTTP struct{ RoutePrefix string } }
		CustomHandler   struct{ EnableProxyingHTTPRequest, EnableForwardingHTTPRequest bool }
		Logging         struct {
			ApplicationInsights struct {
				SamplingSettings                                   struct{ ExcludedTypes string }
				EnableQueryStringTracing, EnableDependencyTracking *bool
			}
		}
	}
	if err := json.Unmarshal([]byte(contents(t, filepath.Join(root, "host.json"))), &host); err != nil {
		t.Fatal(err)
	}
	if host.ExtensionBundle != nil {
		t.Error("host.json asks for an extension bundle")
	}
	if got := host.Extensions.HTTP.RoutePrefix; got != "api" {
		t.Errorf("the route prefix is %q", got)
	}
	if h := host.CustomHandler; !h.EnableProxyingHTTPRequest || !h.EnableForwardingHTTPRequest {
		t.Errorf("%+v", h)
	}
	records := host.Logging.ApplicationInsights
	if got := records.SamplingSettings.ExcludedTypes; !strings.Contains(got, "Request") {
		t.Errorf("sampling leaves alone %q", got)
	}
	if queries, calls := records.EnableQueryStringTracing, records.EnableDependencyTracking; queries == nil || *queries || calls == nil || *calls {
		t.Error("the host may record the queries of requests")
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	for _, tmpl := range templates(t) {
		for _, d := range slices.Concat(tmpl.params, tmpl.outputs) {
			if !d.described {
				t.Errorf("%s: %s %s has no @description", tmpl.file, d.kind, d.name)
			}
		}
		if !strings.HasPrefix(contents(t, tmpl.file), "//") {
			t.Errorf("%s does not begin with a comment that says what it is for", tmpl.file)
		}
	}
}

func TestNoSecretInAnOutput(t *testing.T) {
	secret := regexp.MustCompile(`(?i)secret|password|credential|token|connection_?string|instrumentation_?key|account_?key|shared_?key|access_?key|sas|listkeys|listsecrets|list\(`)
	harmless := []string{"secretExpirySchedule", "smtpPasswordSecretName"} // a time, and the name of a secret
	for _, tmpl := range templates(t) {
		for _, d := range tmpl.outputs {
			// The id of a DNS zone contains no secret, whatever the zone is for.
			text := strings.ReplaceAll(d.text, "secretsZone.id", "")
			if found := secret.FindString(text); found != "" {
				t.Errorf("%s: the output %s may hold a secret (%q); anyone with access to the deployment can read its outputs", tmpl.file, d.name, found)
			}
		}
		for _, d := range tmpl.params {
			if secret.MatchString(d.name) && !slices.Contains(harmless, d.name) {
				t.Errorf("%s: the parameter %s may hold a secret; nothing here needs one", tmpl.file, d.name)
			}
		}
	}
}

// TestModulesFit checks what the Bicep compiler would: a module gets the parameters that it
// declares, and its callers read outputs that exist.
func TestModulesFit(t *testing.T) {
	used := map[string]bool{"main.bicep": true}
	for _, tmpl := range templates(t) {
		for _, m := range tmpl.modules {
			if !regexp.MustCompile(`^(modules/)?[a-z-]+\.bicep$`).MatchString(m.of) {
				t.Errorf("%s: module %s is from elsewhere: %s", tmpl.file, m.name, m.of)
				continue
			}
			file := filepath.ToSlash(filepath.Join(filepath.Dir(tmpl.file), m.of))
			used[file] = true
			callee := read(t, file)
			given := m.body.at("params")
			for _, p := range callee.params {
				if _, ok := given.object[p.name]; !ok && p.body.text == "" {
					t.Errorf("%s: module %s does not get %s", tmpl.file, m.name, p.name)
				}
			}
			for _, k := range given.keys {
				if _, ok := find(callee.params, k); !ok {
					t.Errorf("%s: module %s gets %s, which %s does not declare", tmpl.file, m.name, k, file)
				}
			}
			read := regexp.MustCompile(`\b` + m.name + `(?:\[\w+\])?\.\??outputs\.(\w+)`)
			for _, found := range read.FindAllStringSubmatch(contents(t, tmpl.file), -1) {
				if _, ok := find(callee.outputs, found[1]); !ok {
					t.Errorf("%s: %s has no output %s", tmpl.file, file, found[1])
				}
			}
			if m.conditional && regexp.MustCompile(`\b`+m.name+`\.outputs\.`).MatchString(contents(t, tmpl.file)) {
				t.Errorf("%s: module %s is optional: read its outputs with .?outputs", tmpl.file, m.name)
			}
		}
	}
	for _, tmpl := range templates(t) {
		if !used[tmpl.file] {
			t.Errorf("%s: no module uses it", tmpl.file)
		}
		for _, p := range tmpl.params {
			if n := len(regexp.MustCompile(`\b`+p.name+`\b`).FindAllString(withoutDeclaration(contents(t, tmpl.file), p), -1)); n == 0 {
				t.Errorf("%s: nothing uses the parameter %s", tmpl.file, p.name)
			}
		}
	}
}

func withoutDeclaration(text string, p declaration) string {
	text = regexp.MustCompile(`(?m)^(@description|//).*$`).ReplaceAllString(text, "")
	return strings.Replace(text, "param "+p.name+" ", "", 1)
}

func TestParameterFile(t *testing.T) {
	main := read(t, "main.bicep")
	given := read(t, "main.bicepparam").params
	for _, p := range given {
		if _, ok := find(main.params, p.name); !ok {
			t.Errorf("main.bicepparam sets %s, which main.bicep does not declare", p.name)
		}
	}
	for _, p := range main.params {
		if _, ok := find(given, p.name); !ok && p.body.text == "" {
			t.Errorf("main.bicepparam does not set %s, which has no default", p.name)
		}
	}
	text := contents(t, "main.bicepparam")
	if !strings.Contains(text, "using 'main.bicep'") {
		t.Error("main.bicepparam is for another template")
	}
	// The operator must decide who may call: without these settings the deployment must fail.
	for _, name := range []string{"FHIRLINK_API_AUDIENCE", "FHIRLINK_ALLOWED_TENANTS"} {
		if !strings.Contains(text, "readEnvironmentVariable('"+name+"')") {
			t.Errorf("main.bicepparam has a default for %s, or does not read it", name)
		}
	}
}

// TestSafety checks the settings of resources that keep secrets in and strangers out.
func TestSafety(t *testing.T) {
	var (
		app     = read(t, "modules/app.bicep")
		site    = resource(t, app, "Microsoft.Web/sites").body.at("properties")
		storage = resource(t, read(t, "modules/storage.bicep"), "Microsoft.Storage/storageAccounts").body.at("properties")
		keeper  = read(t, "modules/vault.bicep")
		vault   = resource(t, keeper, "Microsoft.KeyVault/vaults").body.at("properties")
		audit   = resource(t, keeper, "Microsoft.Insights/diagnosticSettings").body
		logs    = read(t, "modules/monitoring.bicep")
		topic   = resource(t, read(t, "modules/events.bicep"), "Microsoft.EventGrid/topics").body.at("properties")
	)
	for _, tt := range []struct {
		what      string
		got, want string
	}{
		{"runtime", site.at("functionAppConfig", "runtime", "name").text, "'custom'"},
		{"runtime version", site.at("functionAppConfig", "runtime", "version").text, "'1.0'"},
		{"code is read by", site.at("functionAppConfig", "deployment", "storage", "authentication", "type").text, "'UserAssignedIdentity'"},
		{"https only", site.at("httpsOnly").text, "true"},
		{"CORS of the platform", site.at("siteConfig", "cors", "allowedOrigins").text, "[]"},
		{"plan", resource(t, app, "Microsoft.Web/serverfarms").body.at("sku", "name").text, "'FC1'"},
		{"identity", resource(t, app, "Microsoft.Web/sites").body.at("identity", "type").text, "'UserAssigned'"},
		{"shared key", storage.at("allowSharedKeyAccess").text, "false"},
		{"public blobs", storage.at("allowBlobPublicAccess").text, "false"},
		{"TLS of storage", storage.at("minimumTlsVersion").text, "'TLS1_2'"},
		{"private storage", storage.at("publicNetworkAccess").text, "isPrivate ? 'Disabled' : 'Enabled'"},
		{"roles on the vault", vault.at("enableRbacAuthorization").text, "true"},
		{"access policies", vault.at("accessPolicies").text, "[]"},
		{"soft delete", vault.at("enableSoftDelete").text, "true"},
		{"purge protection", vault.at("enablePurgeProtection").text, "true"},
		{"private vault", vault.at("publicNetworkAccess").text, "isPrivate ? 'Disabled' : 'Enabled'"},
		{"audited", audit.at("scope").text, "vault"},
		{"audit log", audit.at("properties", "logs").array[0].at("category").text, "'AuditEvent'"},
		{"audit log on", audit.at("properties", "logs").array[0].at("enabled").text, "true"},
		{"password of the mail server", appSettings(t).at("FHIRLINK_SMTP_PASSWORD").text, "empty(smtpPasswordSecretName) ? '' : '@Microsoft.KeyVault(SecretUri=${firstVaultUrl}secrets/${smtpPasswordSecretName})'"},
		{"Key Vault references are read as", site.at("keyVaultReferenceIdentity").text, "identity.id"},
		{"schema of the custom topic", topic.at("inputSchema").text, "'CloudEventSchemaV1_0'"},
		{"keys of the custom topic", topic.at("disableLocalAuth").text, "true"},
		{"TLS of the custom topic", topic.at("minimumTlsVersionAllowed").text, "'1.2'"},
		{"telemetry by key", resource(t, logs, "Microsoft.Insights/components").body.at("properties", "DisableLocalAuth").text, "true"},
	} {
		if got := strings.Join(strings.Fields(tt.got), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
	for _, policy := range []string{"noScmPassword", "noFtpPassword"} {
		if p, ok := find(app.resources, policy); !ok || p.body.at("properties", "allow").text != "false" {
			t.Errorf("%s: passwords for publishing are allowed", policy)
		}
	}
}

// TestAgreesWithTheProgram checks that values in Bicep and in Go are the same.
func TestAgreesWithTheProgram(t *testing.T) {
	storage := read(t, "modules/storage.bicep")
	table := resource(t, storage, "Microsoft.Storage/storageAccounts/tableServices/tables").body.at("name").literal()
	if got := constants(t, "functions/cmd/internal/cloud/cloud.go")["table"]; got != table {
		t.Errorf("the program keeps links in the table %q, modules/storage.bicep makes %q", got, table)
	}
	if got := constants(t, "shared/config/smart.go")["linksTable"]; got != table {
		t.Errorf("the table of SMART authorization may not be called %q, the table of links is called %q", got, table)
	}
	main := read(t, "main.bicep")
	for param, want := range map[string]string{"smartKeyName": config.DefaultSmartKey, "smartTableName": config.DefaultSmartTable} {
		if p, _ := find(main.params, param); p.body.literal() != want {
			t.Errorf("the default of %s is %q, that of the program is %q", param, p.body.literal(), want)
		}
	}
	site := resource(t, read(t, "modules/app.bicep"), "Microsoft.Web/sites").body
	container := resource(t, storage, "Microsoft.Storage/storageAccounts/blobServices/containers").body.at("name").literal()
	if got := site.at("properties", "functionAppConfig", "deployment", "storage", "value").text; got != "'${storage.properties.primaryEndpoints.blob}"+container+"'" {
		t.Errorf("the code is published to %s, the container is %s", got, container)
	}
	// A slug must stay reserved while its secret can still be recovered.
	days := resource(t, read(t, "modules/vault.bicep"), "Microsoft.KeyVault/vaults").body.at("properties", "softDeleteRetentionInDays").text
	if !strings.Contains(contents(t, filepath.Join(root, "shared/link/delete.go")), "keepTombstone = "+days+" * 24 * time.Hour") {
		t.Errorf("the vault keeps deleted secrets for %s days, shared/link/delete.go slugs for another time", days)
	}
}

func TestAlerts(t *testing.T) {
	alerts, ofVaults := read(t, "modules/alerts.bicep"), read(t, "modules/vault-alerts.bicep")
	runbook := contents(t, "README.md")
	log := readLog(t)
	var seen []string
	for _, r := range slices.Concat(alerts.resources, ofVaults.resources) {
		if typeOf(r) == "Microsoft.Insights/actionGroups" {
			continue
		}
		name, ofVault := strings.CutSuffix(strings.TrimPrefix(r.body.at("name").literal(), "${prefix}-"), "-${vaultName}")
		if _, there := find(ofVaults.resources, r.name); there != ofVault {
			t.Errorf("the alert %s cannot be told apart from that of another vault", name)
		}
		seen = append(seen, name)
		if !strings.Contains(runbook, "\n#### "+name+"\n") {
			t.Errorf("README.md does not say what to do when the alert %s comes", name)
		}
		properties := r.body.at("properties")
		if properties.at("enabled").text != "true" {
			t.Errorf("the alert %s is off", name)
		}
		if got := properties.at("actions").text; got != "actions" && properties.at("actions", "actionGroups").text != "groups" {
			t.Errorf("the alert %s notifies no one: %s", name, got)
		}
		for _, c := range properties.at("criteria", "allOf").array {
			query := c.at("query").text
			if (query == "") != (typeOf(r) == "Microsoft.Insights/metricAlerts") {
				t.Errorf("the alert %s: query %q", name, query)
			}
			if query != "" {
				log.check(t, "the alert "+name, query)
			}
		}
	}
	want := []string{"sweep-heartbeat", "server-errors", "unavailable", "secrets-ending", "vault-errors", "vault-throttled", "vault-load", "table-throttled"}
	slices.Sort(seen)
	slices.Sort(want)
	if !slices.Equal(seen, want) {
		t.Errorf("alerts %q, want %q", seen, want)
	}
	var meaning strings.Builder
	for _, r := range slices.Concat(alerts.resources, ofVaults.resources) {
		if typeOf(r) == "Microsoft.Insights/actionGroups" {
			continue
		}
		fmt.Fprintf(&meaning, "%s\n", r.body.at("name").literal())
		for _, key := range []string{"severity", "scopes", "evaluationFrequency", "windowSize", "autoMitigate", "criteria"} {
			fmt.Fprintf(&meaning, "\t%s %s\n", key, strings.Join(strings.Fields(r.body.at("properties", key).text), " "))
		}
	}
	golden(t, "alerts.golden", meaning.String())
	heartbeat, _ := find(alerts.resources, "sweepHeartbeat")
	properties := heartbeat.body.at("properties")
	c := properties.at("criteria", "allOf").array[0]
	if properties.at("windowSize").literal() != "PT1H" || c.at("operator").literal() != "LessThan" || c.at("threshold").text != "1" || c.at("timeAggregation").literal() != "Count" || !strings.Contains(c.at("query").text, "todatetime(event.succeededAt) > ago(1h)") {
		t.Errorf("the heartbeat's alert does not check for an age of an hour: %s", properties.text)
	}
}

// TestVaultAlerts checks which of the vault's answers raise an alert.
func TestVaultAlerts(t *testing.T) {
	statuses := map[string]string{}
	for _, r := range read(t, "modules/vault-alerts.bicep").resources {
		c := r.body.at("properties", "criteria", "allOf").array[0]
		if d := c.at("dimensions").array; len(d) > 0 {
			statuses[r.name] = strings.Join(strings.Fields(d[0].at("values").text), " ")
		}
	}
	want := map[string]string{"vaultErrors": "[ '403' '500' '502' '503' '504' ]", "vaultThrottled": "[ '429' ]"}
	if !maps.Equal(statuses, want) {
		t.Errorf("%q, want %q", statuses, want)
	}
}

// The workbook shows the promised numbers, from lines that the program writes.
func TestWorkbook(t *testing.T) {
	var book struct {
		Version             string
		FallbackResourceIDs []string
		Items               []struct {
			Type    int
			Name    string
			Content struct{ Query, Title, Visualization, TimeContextFromParameter string }
		}
	}
	if err := json.Unmarshal([]byte(contents(t, "workbook.json")), &book); err != nil {
		t.Fatal(err)
	}
	if book.Version != "Notebook/1.0" || !slices.Equal(book.FallbackResourceIDs, []string{"{{workspace}}"}) {
		t.Errorf("version %q, resources %q", book.Version, book.FallbackResourceIDs)
	}
	template := resource(t, read(t, "modules/workbook.bicep"), "Microsoft.Insights/workbooks").body
	if got := template.at("properties", "serializedData").text; got != "replace(loadTextContent('../workbook.json'), '{{workspace}}', workspaceId)" {
		t.Errorf("modules/workbook.bicep fills in %s", got)
	}
	log := readLog(t)
	var seen []string
	for _, item := range book.Items {
		if item.Content.Query == "" {
			continue
		}
		seen = append(seen, item.Name)
		log.check(t, "the workbook's "+item.Name, item.Content.Query)
		if strings.Contains(item.Content.Query, "count()") || strings.Contains(item.Content.Query, "summarize") && !strings.Contains(item.Content.Query, "ItemCount") && item.Name != "secrets" {
			t.Errorf("%s counts lines, but must sum ItemCount: %s", item.Name, item.Content.Query)
		}
		if item.Content.TimeContextFromParameter != "Time" || item.Content.Title == "" || item.Content.Visualization == "" {
			t.Errorf("%s: %+v", item.Name, item.Content)
		}
	}
	for _, want := range []string{"refusals", "findings", "tokens", "cache", "calls", "sweeps"} {
		if !slices.Contains(seen, want) {
			t.Errorf("the workbook shows no %s", want)
		}
	}
}

// The runbook's queries, and the fields that it explains, match lines that the program writes.
func TestRunbookKnowsTheLog(t *testing.T) {
	log := readLog(t)
	queries := 0
	for _, m := range regexp.MustCompile("`(AppTraces[^`]+)`").FindAllStringSubmatch(contents(t, "README.md"), -1) {
		log.check(t, "README.md's "+m[1], m[1])
		queries++
	}
	for _, m := range regexp.MustCompile("(?s)```kusto\n(AppTraces.*?)```").FindAllStringSubmatch(contents(t, "README.md"), -1) {
		log.check(t, "README.md's "+m[1], m[1])
		queries++
	}
	if queries < 5 {
		t.Errorf("only %d queries were found in README.md", queries)
	}
	_, section, _ := strings.Cut(contents(t, "README.md"), "\n## What the log tells\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var explained []string
	quoted := regexp.MustCompile("`([\\w.]+)`")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|.*\\| (.*) \\|$").FindAllStringSubmatch(section, -1) {
		var events, fields []string
		for _, m := range quoted.FindAllStringSubmatch(row[1], -1) {
			events = append(events, m[1])
		}
		for _, m := range quoted.FindAllStringSubmatch(row[2], -1) {
			fields = append(fields, m[1])
		}
		log.checkFields(t, "README.md's table", events, fields)
		explained = append(explained, events...)
	}
	slices.Sort(explained)
	if events := loggedEvents(t); !slices.Equal(explained, events) {
		t.Errorf("README.md explains\n%q, the program writes\n%q", explained, events)
	}
}

// loggedEvents returns the messages that the program passes to a slog logger, and the one that
// package eventlog writes itself. The sandbox's are not among them, because it is never
// deployed.
func loggedEvents(t *testing.T) []string {
	t.Helper()
	events := []string{"log.dropped"}
	for _, file := range goFiles(t) {
		if strings.Contains(file, "sandbox") || strings.HasSuffix(filepath.Dir(file), "test") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if event := loggedBy(n); event != "" {
				events = append(events, event)
			}
			return true
		})
	}
	slices.Sort(events)
	return slices.Compact(events)
}

// loggedBy returns the message of a call such as s.Log.WarnContext(ctx, "message", …) or
// work.Write, and "" for any other node.
func loggedBy(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	levels := []string{"Log", "LogAttrs", "Info", "Warn", "Error", "InfoContext", "WarnContext", "ErrorContext"}
	if !ok || !(slices.Contains(levels, method.Sel.Name) && isLogger(method.X) || method.Sel.Name == "Write" && isWork(method.X)) {
		return ""
	}
	for _, argument := range call.Args {
		if lit, ok := argument.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			return strings.Trim(lit.Value, "\"")
		}
	}
	return ""
}

// isWork reports whether x looks like an eventlog.Work, by its name.
func isWork(x ast.Expr) bool {
	name, ok := x.(*ast.Ident)
	return ok && name.Name == "work"
}

// isLogger reports whether x looks like a logger, or is package eventlog, by its name.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "log" || x.Name == "eventlog"
	case *ast.SelectorExpr:
		return x.Sel.Name == "Log" || x.Sel.Name == "log"
	}
	return false
}

// logged holds the fields that each event may have: all strings in the functions that name it.
type logged map[string]map[string]bool

// everyLine are the fields of every line about a request, besides those that package eventlog
// adds.
var everyLine = []string{"time", "level", "msg", "correlation"}

func readLog(t *testing.T) logged {
	t.Helper()
	log := logged{}
	always := map[string]bool{}
	notes := []string{filepath.Join(root, "shared/eventlog/work.go"), filepath.Join(root, "shared/eventlog/logger.go")}
	for _, name := range everyLine {
		always[name] = true
	}
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, filepath.Join("local", "metrics.go")) {
			continue // it reads events that other packages write
		}
		for _, words := range functionStrings(t, file) {
			for word := range words {
				if log[word] == nil {
					log[word] = map[string]bool{}
				}
				maps.Copy(log[word], words)
			}
			if slices.Contains(notes, file) {
				maps.Copy(always, words)
			}
		}
	}
	log["log.dropped"] = map[string]bool{"lines": true} // eventlog.Writer builds this line itself
	for _, fields := range log {
		maps.Copy(fields, always)
	}
	return log
}

// check checks what a query expects: events by msg, and fields of the parsed line.
func (log logged) check(t *testing.T, what, query string) {
	t.Helper()
	var events, fields []string
	for _, m := range regexp.MustCompile(`event\.msg\)? (?:== ("[^"]+")|in \(([^)]+)\))`).FindAllStringSubmatch(query, -1) {
		for _, name := range strings.Split(m[1]+m[2], ",") {
			events = append(events, strings.Trim(name, ` "`))
		}
	}
	for _, m := range regexp.MustCompile(`event\.(\w+)`).FindAllStringSubmatch(query, -1) {
		fields = append(fields, m[1])
	}
	log.checkFields(t, what, events, fields)
}

// checkFields checks that the program writes each event, and each field with one of them. Without
// events, a field may be in any line.
func (log logged) checkFields(t *testing.T, what string, events, fields []string) {
	t.Helper()
	for _, name := range events {
		if log[name] == nil {
			t.Errorf("%s wants the log line %q, which the program does not write", what, name)
		}
	}
	for _, field := range fields {
		has := func(name string) bool { return log[name][field] }
		if len(events) == 0 && !slices.Contains(everyLine, field) || len(events) > 0 && !slices.ContainsFunc(events, has) {
			t.Errorf("%s reads %q, which no line of %q has", what, field, events)
		}
	}
}

// goFiles returns the program's sources, without tests.
func goFiles(t *testing.T) (files []string) {
	t.Helper()
	for _, dir := range []string{"functions", "shared"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(file string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && file == filepath.Join(root, "functions", "clients") {
				return fs.SkipDir // other programs, with what npm and generators put there
			}
			if err == nil && !entry.IsDir() && strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// functionStrings returns the string literals of each function in a file.
func functionStrings(t *testing.T, file string) (all []map[string]bool) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range parsed.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		words := map[string]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				words[text] = true
			}
			return true
		})
		all = append(all, words)
	}
	return all
}

func TestRegistration(t *testing.T) {
	type entry struct {
		ID, Value          string
		AllowedMemberTypes []string
		IsEnabled          bool
	}
	var app struct {
		SignInAudience string
		API            struct {
			RequestedAccessTokenVersion int
			OAuth2PermissionScopes      []entry
		}
		AppRoles []entry
	}
	if err := json.Unmarshal([]byte(contents(t, "api-registration.json")), &app); err != nil {
		t.Fatal(err)
	}
	if app.API.RequestedAccessTokenVersion != 2 {
		t.Error("callers would get tokens of version 1, which the program refuses")
	}
	var lines []string
	for _, scope := range app.API.OAuth2PermissionScopes {
		lines = append(lines, fmt.Sprintf("scope %s %s", scope.Value, scope.ID))
	}
	for _, role := range app.AppRoles {
		lines = append(lines, fmt.Sprintf("role %s %s for %s", role.Value, role.ID, role.AllowedMemberTypes))
	}
	ids := map[string]bool{}
	for _, e := range slices.Concat(app.API.OAuth2PermissionScopes, app.AppRoles) {
		if ids[e.ID] || !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(e.ID) {
			t.Errorf("the id of %s is not a unique GUID: %s", e.Value, e.ID)
		}
		ids[e.ID] = true
		if !e.IsEnabled {
			t.Errorf("%s is off", e.Value)
		}
	}
	golden(t, "registration.golden", strings.Join(lines, "\n")+"\n")

	var needed, offered []string
	for name, value := range constants(t, "shared/caller/right.go") {
		if strings.HasPrefix(name, "scope") || strings.HasPrefix(name, "role") {
			needed = append(needed, value)
		}
	}
	for _, e := range slices.Concat(app.API.OAuth2PermissionScopes, app.AppRoles) {
		offered = append(offered, e.Value)
	}
	slices.Sort(needed)
	slices.Sort(offered)
	if !slices.Equal(needed, offered) {
		t.Errorf("the program asks for %q, the registration offers %q", needed, offered)
	}
	if script := contents(t, "register-api.sh"); !strings.Contains(script, "api-registration.json") {
		t.Error("register-api.sh does not use api-registration.json")
	}
}

func TestPublishing(t *testing.T) {
	azd := contents(t, filepath.Join(root, "azure.yaml"))
	for _, want := range []string{"path: infra\n", "module: main\n", "  postdeploy:\n    shell: sh\n    run: ./infra/publish.sh\n"} {
		if !strings.Contains(azd, want) {
			t.Errorf("azure.yaml lacks %q", want)
		}
	}
	script := contents(t, "publish.sh")
	if !strings.Contains(script, `cd dist && func azure functionapp publish "$app" --custom ${in_subscription`) {
		t.Error("publish.sh does not publish dist/ as a custom handler")
	}
	if strings.Contains(script, "--publish-local-settings") {
		t.Error("publish.sh publishes local settings")
	}
	if _, ok := find(read(t, "main.bicep").outputs, "AZURE_FUNCTION_APP_NAME"); !ok || !strings.Contains(script, "AZURE_FUNCTION_APP_NAME") {
		t.Error("publish.sh and main.bicep do not agree on the name that azd passes on")
	}
	for _, file := range []string{"publish.sh", "register-api.sh", "copy-vault.sh", "lint/run"} {
		if info, err := os.Stat(file); err != nil || info.Mode()&0o100 == 0 {
			t.Errorf("%s cannot be run: %v", file, err)
		}
	}
}

func TestLockFileNamesNoRegistry(t *testing.T) {
	var lock struct {
		Packages map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(contents(t, "lint/package-lock.json")), &lock); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[name]
		if p["resolved"] != nil || name != "" && p["integrity"] == nil {
			t.Errorf("lint/package-lock.json: %s is pinned by place, not by content; use npm install --omit-lockfile-registry-resolved", name)
		}
	}
	for _, want := range []string{"node_modules/@kusto/language-service-next", "node_modules/tree-sitter-bicep", "node_modules/web-tree-sitter"} {
		if lock.Packages[want] == nil {
			t.Errorf("lint/package-lock.json lacks %s", want)
		}
	}
}
