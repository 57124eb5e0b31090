package hosttest_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/azfunc/hosttest"
)

// both runs a test with both ways of forwarding a request.
func both(t *testing.T, test func(t *testing.T, url string), settings ...string) {
	for name, mode := range map[string]string{"forwarding": forwarding, "proxying": proxying} {
		t.Run(name, func(t *testing.T) {
			_, url := serve(t, mode, settings...)
			test(t, url)
		})
	}
}

// src/WebJobs.Script/Workers/Http/DefaultHttpWorkerService.cs, InvokeAsync: proxying takes
// precedence over forwarding, if the host supports it.
func TestProxyingWinsOverForwarding(t *testing.T) {
	for mode, want := range map[string]string{forwarding: "", proxying: "x-ms-invocation-id"} {
		_, url := serve(t, mode)
		if got := arrived(t, request(t, "GET", url+"/api/all", "")).Header.Get("x-ms-invocation-id"); (got != "") != (want != "") {
			t.Errorf("%s: x-ms-invocation-id is %q", mode, got)
		}
	}
}

// src/WebJobs.Script/Workers/Http/HttpWorkerOptionsSetup.cs reads the section; Microsoft Learn,
// "host.json reference". An old host does not support proxying; a setting disables it in a new
// one.
func TestSettingsOverrideHostJSON(t *testing.T) {
	_, url := serve(t, proxying, "AzureFunctionsJobHost__customHandler__EnableProxyingHttpRequest=false")
	if a := arrived(t, request(t, "GET", url+"/api/all?a=1&a=2", "")); a.Target != "/api/all?a=1,2" {
		t.Errorf("target %s: that was proxied", a.Target)
	}
}

// DefaultHttpWorkerService.cs, GetPathValue: the path keeps the route prefix and the route. It is
// not the function's name.
func TestPathIsTheClients(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		if a := arrived(t, request(t, "PATCH", url+"/api/echo/one/two", "")); a.Method != "PATCH" || a.Target != "/api/echo/one/two" {
			t.Errorf("%s %s", a.Method, a.Target)
		}
	})
}

// src/WebJobs.Script/Extensions/HttpRequestExtensions.cs, ToHttpRequestMessage: a body with a
// Content-Length above 0 is forwarded with its type.
func TestBodiesWithLengthArrive(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := arrived(t, request(t, "POST", url+"/api/all", `{"a":1}`, "Content-Type: application/json"))
		if a.Body != `{"a":1}` || a.Length != 7 || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("body %q, length %d, %s", a.Body, a.Length, a.Header.Get("Content-Type"))
		}
	})
}

// src/WebJobs.Script/Workers/Http/DefaultHttpWorkerService.cs (issue 7860): forwarding disables
// AllowAutoRedirect.
func TestRedirectsReachTheClient(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		response, _ := send(t, request(t, "GET", url+"/api/redirect", ""))
		if response.StatusCode != http.StatusFound || response.Header.Get("Location") != "/elsewhere" {
			t.Errorf("%s, Location %s", response.Status, response.Header.Get("Location"))
		}
	})
}

// DefaultHttpWorkerService.cs, ProcessHttpInAndOutInvocationRequest, has no
// EnsureSuccessStatusCode.
func TestAnyStatusReachesTheClient(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		response, body := send(t, request(t, "GET", url+"/api/teapot", ""))
		if response.StatusCode != http.StatusTeapot || body != "short and stout\n" {
			t.Errorf("%s: %s", response.Status, body)
		}
	})
}

// src/WebJobs.Script/Http/DefaultHttpProxyService.cs: YARP streams; DefaultHttpWorkerService.cs,
// ProcessHttpInAndOutInvocationRequest: HttpClient.SendAsync reads the whole answer first.
func TestOnlyProxyingStreams(t *testing.T) {
	_, url := serve(t, proxying)
	response, err := http.Get(url + "/api/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 6)
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "first\n" {
		t.Errorf("%q, %v", first, err)
	}

	_, url = serve(t, forwarding, impatient)
	if response, body := send(t, request(t, "GET", url+"/api/stream", "")); response.StatusCode != 500 || body != "" {
		t.Errorf("forwarding answered %s %q although the answer never ended", response.Status, body)
	}
}

// src/WebJobs.Script.WebHost/WebScriptHostHttpRoutesManager.cs: methods are a route constraint,
// so a path with a wrong method does not exist. HEAD is not GET.
func TestMethodsThatAreNotListedAreNotFound(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		for method, want := range map[string]int{"GET": 200, "POST": 200, "PUT": 404, "HEAD": 404, "OPTIONS": 404} {
			if response, _ := send(t, request(t, method, url+"/api/some/methods", "")); response.StatusCode != want {
				t.Errorf("%s: %s, want %d", method, response.Status, want)
			}
		}
	})
}

// WebScriptHostHttpRoutesManager.cs: a function without methods accepts all of them.
func TestNoMethodsAreAllMethods(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "PROPFIND"} {
			if response, _ := send(t, request(t, method, url+"/api/all", "")); response.StatusCode != 200 {
				t.Errorf("%s: %s", method, response.Status)
			}
		}
	})
}

// src/WebJobs.Script.WebHost/WebScriptHostHttpRoutesManager.cs: the host knows the functions'
// routes below its prefix, and answers all other requests itself.
func TestUnknownRoutesAreTheHosts(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		for _, path := range []string{"/timer", "/api", "/api/a/b", "/admin/functions/timer", "/elsewhere"} {
			if response, body := send(t, request(t, "POST", url+path, "{}")); response.StatusCode != 404 || body != "" {
				t.Errorf("%s: %s %q", path, response.Status, body)
			}
		}
		// src/WebJobs.Script.WebHost/Middleware/HomepageMiddleware.cs
		if response, body := send(t, request(t, "GET", url+"/", "")); response.StatusCode != 200 || !strings.Contains(body, "up and running") {
			t.Errorf("/: %s %q", response.Status, body)
		}
	})
}

// src/WebJobs.Script.WebHost/Security/Authentication/Keys/AuthenticationLevelHandler.cs: the host
// refuses a wrong key, and does not remove a right one from the request.
func TestKeysAreCheckedAndPassedOn(t *testing.T) {
	function := func(level string) string {
		return strings.Replace(httpFunction(`"methods": ["get"]`), "anonymous", level, 1)
	}
	host := &hosttest.Host{FunctionKey: "f", MasterKey: "m", Root: scriptRoot(t, proxying, map[string]string{
		"keyed/function.json":  function("function"),
		"master/function.json": function("admin"),
	})}
	url := hosttest.Serve(t, host)
	tests := []struct {
		path string
		key  string
		want int
	}{
		{"/api/keyed", "", 401},
		{"/api/keyed?code=", "", 401},
		{"/api/keyed", "wrong", 401},
		{"/api/keyed", "f", 200},
		{"/api/keyed?code=f", "", 200},
		{"/api/keyed", "m", 200},
		{"/api/master", "f", 401},
		{"/api/master", "m", 200},
	}
	for _, tt := range tests {
		r := request(t, "GET", url+tt.path, "")
		if tt.key != "" {
			r.Header.Set("x-functions-key", tt.key)
		}
		if response, body := send(t, r); response.StatusCode != tt.want || tt.want == 401 && body != "" {
			t.Errorf("%s with %q: %s %s", tt.path, tt.key, response.Status, body)
		}
	}
	a := arrived(t, request(t, "GET", url+"/api/keyed?code=f", "", "x-functions-key: f"))
	if a.Target != "/api/keyed?code=f" || a.Header.Get("x-functions-key") != "f" {
		t.Errorf("the key was taken off: %s %v", a.Target, a.Header)
	}
}

// extensions.http.customHeaders,
// src/WebJobs.Script.WebHost/Middleware/CustomHttpHeadersMiddleware.cs.
func TestCustomHeaders(t *testing.T) {
	host := &hosttest.Host{Root: scriptRoot(t, forwarding, map[string]string{"host.json": `{"version": "2.0",
		"extensions": {"http": {"routePrefix": "", "customHeaders": {"X-Content-Type-Options": "nosniff"}}},
		"customHandler": {"description": {"defaultExecutablePath": "handler"}, ` + forwarding + `}}`, "echo/function.json": httpFunction(`"route": "api/echo"`)})}
	url := hosttest.Serve(t, host)
	if response, _ := send(t, request(t, "GET", url+"/api/echo", "")); response.Header.Get("X-Content-Type-Options") != "nosniff" || response.StatusCode != 200 {
		t.Errorf("%s %v", response.Status, response.Header)
	}
}

// src/WebJobs.Script.WebHost/Filters and WebScriptHostExceptionHandler.cs,
// OnTimeoutExceptionAsync: an invocation that takes too long ends the process, and with it all
// other invocations.
func TestFunctionTimeoutKillsTheHandler(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		if response, _ := send(t, request(t, "GET", url+"/api/hang", "")); response.StatusCode < 500 {
			t.Errorf("%s", response.Status)
		}
		if a := arrived(t, request(t, "GET", url+"/api/all", "")); a.Method != "GET" {
			t.Error("no new handler")
		}
	}, impatient)
	host, url := serve(t, proxying, impatient)
	pid := host.PID()
	send(t, request(t, "GET", url+"/api/hang", ""))
	arrived(t, request(t, "GET", url+"/api/all", ""))
	if host.PID() == pid || host.Starts() != 2 {
		t.Errorf("pid %d, then %d; %d starts", pid, host.PID(), host.Starts())
	}
}

// src/WebJobs.Script/Workers/Http/HttpWorkerProcess.cs, CreateWorkerProcess, and
// HttpWorkerDescription.cs: environment, working directory, arguments.
func TestEnvironmentOfTheHandler(t *testing.T) {
	root := scriptRoot(t, proxying, map[string]string{"below/x": "", "host.json": `{"version": "2.0", "customHandler": {` + proxying + `,
		"description": {"defaultExecutablePath": "handler", "workingDirectory": "below", "arguments": ["-a=%A%", "%NONE%"], "workerArguments": ["last"]}}}`})
	host := &hosttest.Host{Root: root, Settings: []string{"A=b", "PATH=/nowhere"}}
	a := arrived(t, request(t, "GET", hosttest.Serve(t, host)+"/api/all", ""))
	if !strings.HasSuffix(a.Dir, "/below") || !slices.Equal(a.Args, []string{"-a=b", "", "last"}) {
		t.Errorf("in %s with %q", a.Dir, a.Args)
	}
	names := []string{}
	for _, variable := range a.Env {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}
	want := []string{"A", "PATH", "FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT", "FUNCTIONS_CUSTOMHANDLER_WORKER_ID", "FUNCTIONS_HTTPWORKER_ID", "FUNCTIONS_APP_ROOT_PATH"}
	slices.Sort(names)
	slices.Sort(want)
	if names = slices.DeleteFunc(names, func(n string) bool { return n == "PWD" }); !slices.Equal(names, want) {
		t.Errorf("environment %q, want %q", names, want)
	}
}
