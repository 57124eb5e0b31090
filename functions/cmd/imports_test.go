package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is a package as `go list -json` describes it.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string // everything linked with it, without tests
}

// tests returns the imports of the package's tests.
func (p pkg) tests() []string { return slices.Concat(p.TestImports, p.XTestImports) }

// rule forbids imports. The reason tells a developer why.
type rule struct {
	reason  string
	applies func(p pkg) bool
	imports func(p pkg) []string // the imports that it checks
	forbids func(from, to string) bool
}

var (
	direct       = func(p pkg) []string { return p.Imports }
	inTests      = pkg.tests
	all          = func(p pkg) []string { return slices.Concat(p.Imports, p.tests()) }
	linked       = func(p pkg) []string { return p.Deps }
	everyPackage = func(pkg) bool { return true }
)

// The drivers, and the modules that only they may use.
var (
	drivers = []string{
		"fhirlink/shared/store/aztable", "fhirlink/shared/store/bolt",
		"fhirlink/shared/secret/keyvault", "fhirlink/shared/secret/bolt",
		"fhirlink/shared/entra/clientcred",
		"fhirlink/shared/notify/eventgrid",
		"fhirlink/shared/signer/keyvault", "fhirlink/shared/signer/keyfile",
	}
	sdks     = []string{"github.com/Azure/", "github.com/AzureAD/", "github.com/aws/", "go.etcd.io/bbolt"}
	standIns = []string{"fhirlink/shared/azfunc/hosttest", "fhirlink/shared/httpx/scripttest", "fhirlink/shared/entra/entratest", "fhirlink/shared/fhir/fhirtest", "fhirlink/shared/secret/secrettest", "fhirlink/shared/secret/keyvault/vaulttest", "fhirlink/shared/link/linktest", "fhirlink/shared/store/celltest", "fhirlink/shared/store/rowtest", "fhirlink/shared/signer/signertest", "fhirlink/shared/store/storetest", "fhirlink/shared/store/aztable/tabletest", "fhirlink/shared/notify/webhook/webhooktest", "fhirlink/functions/cmd/local/", "testing"}
	pure     = []string{"fhirlink/shared/smart", "fhirlink/shared/oauth", "fhirlink/shared/problem", "fhirlink/shared/store"}
)

var rules = []rule{
	{
		"a package below shared does not depend on the functions",
		func(p pkg) bool { return strings.HasPrefix(p.ImportPath, "fhirlink/shared/") }, all,
		func(_, to string) bool { return strings.HasPrefix(to+"/", "fhirlink/functions/") },
	},
	{
		"an endpoint can be read, tested and deleted alone",
		func(p pkg) bool { return isEndpoint(p.ImportPath) }, all,
		func(from, to string) bool {
			return !strings.HasPrefix(to+"/", from+"/") && strings.HasPrefix(to+"/", "fhirlink/functions/")
		},
	},
	{
		"only the programs know the drivers",
		func(p pkg) bool { return !isProgram(p.ImportPath) }, direct,
		func(_, to string) bool { return slices.Contains(drivers, to) },
	},
	{
		"only the tests of a driver and of the programs import it",
		func(p pkg) bool { return !isProgram(p.ImportPath) && !slices.Contains(drivers, p.ImportPath) }, inTests,
		func(_, to string) bool { return slices.Contains(drivers, to) || hasAnyPrefix(to, sdks) },
	},
	{
		"SDKs stay behind the drivers",
		func(p pkg) bool { return !isProgram(p.ImportPath) && !slices.Contains(drivers, p.ImportPath) }, direct,
		func(_, to string) bool { return hasAnyPrefix(to, sdks) },
	},
	{
		"these packages need the standard library only",
		func(p pkg) bool { return slices.Contains(pure, p.ImportPath) }, linked,
		func(from, to string) bool { return to != from && !isStandard(to) },
	},
	{
		"the cloud's programs link no sandbox and no local sign-in rule, so no setting can switch them on",
		func(p pkg) bool {
			return p.ImportPath == "fhirlink/functions/cmd/azure" || p.ImportPath == "fhirlink/functions/cmd/lambda"
		}, linked,
		func(_, to string) bool { return hasAnyPrefix(to+"/", standIns) },
	},
	{
		"the Azure program links nothing for AWS and no embedded store",
		func(p pkg) bool { return p.ImportPath == "fhirlink/functions/cmd/azure" }, linked,
		func(_, to string) bool {
			return hasAnyPrefix(to, []string{"github.com/aws/", "go.etcd.io/bbolt", "fhirlink/shared/awslambda"})
		},
	},
	{
		"only cmd/local shows metrics",
		func(p pkg) bool { return p.ImportPath != "fhirlink/functions/cmd/local" }, linked,
		func(_, to string) bool { return strings.HasPrefix(to, "github.com/prometheus/") },
	},
	{
		"no package imports a program",
		everyPackage, all,
		func(_, to string) bool {
			return slices.Contains([]string{"fhirlink/functions/cmd/azure", "fhirlink/functions/cmd/lambda", "fhirlink/functions/cmd/local"}, to)
		},
	},
	{
		"the folder shared holds no Go files, only packages below it",
		func(p pkg) bool { return p.ImportPath == "fhirlink/shared" }, func(p pkg) []string { return []string{p.ImportPath} },
		func(_, _ string) bool { return true },
	},
}

func isProgram(path string) bool { return strings.HasPrefix(path+"/", "fhirlink/functions/cmd/") }

func isEndpoint(path string) bool {
	name, ok := strings.CutPrefix(path, "fhirlink/functions/")
	return ok && !isProgram(path) && !strings.Contains(name, "/")
}

// isStandard reports whether path is in the standard library: only there has the first element
// no dot.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first != "fhirlink" && !strings.Contains(first, ".")
}

func hasAnyPrefix(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(path, p) })
}

// violations returns the broken rules, as "from imports to: reason".
func violations(pkgs []pkg) (found []string) {
	for _, p := range pkgs {
		for _, r := range rules {
			if !r.applies(p) {
				continue
			}
			for _, to := range r.imports(p) {
				if r.forbids(p.ImportPath, to) {
					found = append(found, p.ImportPath+" imports "+to+": "+r.reason)
				}
			}
		}
	}
	return found
}

func TestImports(t *testing.T) {
	dependOnSources(t)
	pkgs := list(t)
	for _, want := range append(drivers, "fhirlink/functions/cmd/azure", "fhirlink/functions/cmd/lambda", "fhirlink/functions/cmd/local") {
		if !slices.ContainsFunc(pkgs, func(p pkg) bool { return p.ImportPath == want }) {
			t.Errorf("there is no package %s; the rules name it", want)
		}
	}
	for _, v := range violations(pkgs) {
		t.Error(v)
	}
}

// list asks the go command for every package of the module.
func list(t *testing.T) (pkgs []pkg) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "fhirlink/...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// The rules work: each planted import breaks exactly one.
func TestImportRulesFindViolations(t *testing.T) {
	for _, p := range []pkg{
		{ImportPath: "fhirlink/shared/link", Imports: []string{"fhirlink/functions"}},
		{ImportPath: "fhirlink/shared/link", TestImports: []string{"fhirlink/functions/token"}},
		{ImportPath: "fhirlink/functions/token", Imports: []string{"fhirlink/functions/links"}},
		{ImportPath: "fhirlink/functions/token", XTestImports: []string{"fhirlink/functions"}},
		{ImportPath: "fhirlink/functions", Imports: []string{"fhirlink/shared/store/aztable"}},
		{ImportPath: "fhirlink/shared/link/linktest", Imports: []string{"fhirlink/shared/store/bolt"}},
		{ImportPath: "fhirlink/shared/link", TestImports: []string{"fhirlink/shared/store/bolt"}},
		{ImportPath: "fhirlink/shared/entra", Imports: []string{"github.com/Azure/azure-sdk-for-go/sdk/azcore"}},
		{ImportPath: "fhirlink/shared/smart", Deps: []string{"fhirlink/shared/problem", "net/http"}},
		{ImportPath: "fhirlink/functions/cmd/azure", Deps: []string{"fhirlink/functions/cmd/local/sandbox"}},
		{ImportPath: "fhirlink/functions/cmd/lambda", Deps: []string{"fhirlink/shared/entra/entratest"}},
		{ImportPath: "fhirlink/functions/cmd/lambda", Deps: []string{"testing"}},
		{ImportPath: "fhirlink/functions/cmd/azure", Deps: []string{"github.com/aws/aws-lambda-go/lambda"}},
		{ImportPath: "fhirlink/functions/cmd/lambda", Imports: []string{"fhirlink/functions/cmd/azure"}},
		{ImportPath: "fhirlink/functions/cmd/azure", Deps: []string{"github.com/prometheus/client_golang/prometheus"}},
		{ImportPath: "fhirlink/shared"},
	} {
		if found := violations([]pkg{p}); len(found) != 1 {
			t.Errorf("%+v: %q", p, found)
		}
	}
	for _, p := range []pkg{
		{ImportPath: "fhirlink/functions", Imports: []string{"fhirlink/functions/token", "fhirlink/shared/link"}},
		{ImportPath: "fhirlink/shared/store/aztable", Imports: []string{"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"}, TestImports: []string{"fhirlink/shared/store/storetest"}},
		{ImportPath: "fhirlink/functions/cmd/azure", Imports: []string{"fhirlink/shared/store/aztable"}, TestImports: []string{"fhirlink/shared/entra/entratest"}},
		{ImportPath: "fhirlink/shared/smart", Imports: []string{"strings"}, Deps: []string{"strings", "unsafe"}},
	} {
		if found := violations([]pkg{p}); len(found) != 0 {
			t.Errorf("%+v: %q", p, found)
		}
	}
}
