package hosttest_test

import (
	"strings"
	"testing"
	"time"

	"fhirlink/shared/azfunc/hosttest"
)

// src/WebJobs.Script/Host/HostFunctionMetadataProvider.cs, ReadFunctionsMetadata, and Utility.cs,
// IsValidFunctionName: what is a function, and what is left out with an error.
func TestReadRoot(t *testing.T) {
	timer := func(schedule string) string {
		return `{"bindings": [{"type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "` + schedule + `"}]}`
	}
	tests := []struct {
		name, file, content string
		want                string // the expected error; "": it is a function
		absent              bool   // neither function nor error
	}{
		{"a hyphen", "translate-scope", httpFunction(`"route": "x"`), "", false},
		{"upper case", "Register", httpFunction(`"route": "x"`), "", false},
		{"a file the host does not read", "deep/er", httpFunction(`"route": "x"`), "", true},
		{"a digit first", "2nd", httpFunction(`"route": "x"`), "not a valid function name", false},
		{"a dot", "a.b", httpFunction(`"route": "x"`), "not a valid function name", false},
		{"host", "host", httpFunction(`"route": "x"`), "not a valid function name", false},
		{"128 characters", strings.Repeat("a", 128), httpFunction(`"route": "x"`), "", false},
		{"129 characters", strings.Repeat("a", 129), httpFunction(`"route": "x"`), "not a valid function name", false},
		{"no bindings", "f", `{"bindings": []}`, "at least one binding", false},
		{"no JSON", "f", `{`, "unexpected end", false},
		{"a binding with a hyphen", "f", `{"bindings": [{"type": "httpTrigger", "name": "the-request"}]}`, "binding name", false},
		{"a reserved route", "f", httpFunction(`"route": "admin/x"`), "reserved", false},
		{"another reserved route", "f", httpFunction(`"route": "Runtime"`), "reserved", false},
		{"a constraint", "f", httpFunction(`"route": "x/{a:int}"`), "does not know segments", false},
		{"a schedule of six fields", "f", timer("0 */5 * * * *"), "", false},
		{"a time span", "f", timer("00:05:00"), "", false},
		{"a schedule from a setting", "f", timer("%SCHEDULE%"), "", false},
		{"a schedule from a missing setting", "f", timer("%OTHER%"), "does not resolve", false},
		{"a schedule of seven fields", "f", timer("0 0 0 0 0 0 0"), "not recognized", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := scriptRoot(t, proxying, map[string]string{tt.file + "/function.json": tt.content})
			root, err := hosttest.ReadRoot(dir, []string{"SCHEDULE=0 * * * * *"})
			if err != nil {
				t.Fatal(err)
			}
			name := strings.Split(tt.file, "/")[0]
			_, found := root.Function(name)
			problem := root.Errors[name]
			if found != (tt.want == "" && !tt.absent) {
				t.Errorf("found: %v", found)
			}
			if tt.want == "" && problem != nil || tt.want != "" && (problem == nil || !strings.Contains(root.Err().Error(), tt.want)) {
				t.Errorf("error: %v, want %q", problem, tt.want)
			}
		})
	}
}

// Routes are tried in the order of the folders. The first match wins, even if a literal would
// match better: WebJobsRouteBuilder.cs adds plain routes to a RouteCollection.
func TestRoutesAreTriedInOrder(t *testing.T) {
	root := scriptRoot(t, proxying, map[string]string{
		"a/function.json": httpFunction(`"route": "{anything}", "methods": ["put"]`),
		"b/function.json": httpFunction(`"route": "b", "methods": ["put"], "authLevel": "function"`),
	})
	url := hosttest.Serve(t, &hosttest.Host{Root: root})
	if response, _ := send(t, request(t, "PUT", url+"/api/b", "")); response.StatusCode != 200 {
		t.Errorf("%s: the later route won", response.Status)
	}
}

// src/WebJobs.Script.WebHost/WebScriptHostHttpRoutesManager.cs passes the templates to ASP.NET:
// Microsoft Learn, "Routing in ASP.NET Core", Route templates.
func TestRouteTemplates(t *testing.T) {
	tests := []struct {
		route string
		match []string
		not   []string
	}{
		{"", []string{"/api/f", "/API/F", "/api/f/"}, []string{"/api", "/f", "/api/f/x", "/api/g"}},
		{"links/{slug?}/{part?}", []string{"/api/links", "/api/links/", "/api/links/a", "/api/Links/a/secret", "/api/links/a%2Fb/c"}, []string{"/api/links/a/b/c", "/api/links//a", "/api/link"}},
		{"directory/{slug}", []string{"/api/directory/a", "/api/directory/a/"}, []string{"/api/directory", "/api/directory/", "/api/directory/a/b"}},
		{"app/{*path}", []string{"/api/app", "/api/app/", "/api/app/a/b/c"}, []string{"/api/apps"}},
		{"openapi.yaml", []string{"/api/openapi.yaml", "/api/openapi%2Eyaml"}, []string{"/api/openapi-yaml"}},
	}
	for _, tt := range tests {
		files := map[string]string{"f/function.json": httpFunction(`"methods": ["put"], "route": "` + tt.route + `"`)}
		for _, other := range []string{"all", "echo", "some", "others"} {
			files[other+"/function.json"] = httpFunction(`"methods": ["get"]`)
		}
		url := hosttest.Serve(t, &hosttest.Host{Root: scriptRoot(t, proxying, files)})
		for _, path := range tt.match {
			if response, _ := send(t, request(t, "PUT", url+path, "")); response.StatusCode != 200 {
				t.Errorf("%q does not match %s: %s", tt.route, path, response.Status)
			}
		}
		for _, path := range tt.not {
			if response, _ := send(t, request(t, "PUT", url+path, "")); response.StatusCode != 404 {
				t.Errorf("%q matches %s: %s", tt.route, path, response.Status)
			}
		}
	}
}

// src/WebJobs.Script/Workers/Http/HttpWorkerOptionsSetup.cs and
// Config/ScriptJobHostOptionsSetup.cs: the values of host.json, and their defaults.
func TestReadHostFile(t *testing.T) {
	const handler = `"customHandler": {"description": {"defaultExecutablePath": "handler"}}`
	read := func(content string, settings ...string) (hosttest.HostFile, error) {
		return hosttest.ReadHostFile(scriptRoot(t, proxying, map[string]string{"host.json": content}), settings)
	}
	plain, err := read(`{"version": "2.0", "unknown": {"a": [1]}, ` + handler + `}`)
	if err != nil || plain.FunctionTimeout != 30*time.Minute || plain.RoutePrefix != "api" ||
		plain.Handler.InitializationTimeout != 30*time.Second || plain.Handler.Forwarding || plain.Handler.Proxying || !plain.Handler.ErrorsOnStderr {
		t.Errorf("defaults: %+v, %v", plain, err)
	}
	changed, err := read(`{"version": "2.0", "functionTimeout": "1.02:03:04.5", `+handler+`}`,
		"AzureFunctionsJobHost__extensions__http__routePrefix=v2", "AzureFunctionsJobHost__customHandler__enableForwardingHttpRequest=True")
	if err != nil || changed.FunctionTimeout != 26*time.Hour+3*time.Minute+4*time.Second+500*time.Millisecond ||
		changed.RoutePrefix != "v2" || !changed.Handler.Forwarding {
		t.Errorf("overrides: %+v, %v", changed, err)
	}
	for content, want := range map[string]string{
		`{`:                  "unexpected end",
		`{` + handler + `}`:  "version",
		`{"version": "2.0"}`: "defaultExecutablePath",
		`{"version": "2.0", "functionTimeout": "5m", ` + handler + `}`:                                                                    "functionTimeout",
		`{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "h"}, "http": {"routes": [{"route": "{*all}"}]}}}`: "function.json",
	} {
		if _, err := read(content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", content, err, want)
		}
	}
}

// DefaultHttpWorkerService.cs, InvokeAsync, and FunctionMetadataExtensions.cs,
// IsHttpInAndOutFunction: without forwarding and proxying, or with a further binding, the host
// would send an envelope.
func TestEnvelopesForHTTPAreRefused(t *testing.T) {
	queue := strings.Replace(httpFunction(`"route": "x"`), `"res"}]`, `"res"}, {"type": "queue", "direction": "out", "name": "queue"}]`, 1)
	for mode, files := range map[string]map[string]string{
		`"port": 0`: nil,
		proxying:    {"f/function.json": queue},
	} {
		host := &hosttest.Host{Root: scriptRoot(t, mode, files)}
		t.Cleanup(host.Close)
		if _, err := host.Start(); err == nil || !strings.Contains(err.Error(), "JSON envelopes") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
