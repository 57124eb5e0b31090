package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fakeAzure makes the test program the Azure CLI when it is started as one.
const fakeAzure = "FAKE_AZURE_STATE"

func TestMain(m *testing.M) {
	if state := os.Getenv(fakeAzure); state != "" {
		if err := runAzure(state, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "az:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type object = map[string]any

// runAzure does what the scripts ask of az and Graph: the registration is the file state, which a
// PATCH merges its objects into; lists are replaced.
func runAzure(state string, args []string) error {
	switch {
	case slices.Equal(args[:2], []string{"cloud", "show"}):
		fmt.Println("https://graph.microsoft.com/")
		return nil
	case args[0] == "ad":
		return nil
	case args[0] != "rest":
		return fmt.Errorf("unknown command %q", args)
	}
	options := map[string]string{}
	for i := 1; i+1 < len(args); i++ {
		if strings.HasPrefix(args[i], "--") {
			options[args[i]] = args[i+1]
		}
	}
	if want := "https://graph.microsoft.com/v1.0/applications(uniqueName='fhirlink-api')"; options["--url"] != want {
		return fmt.Errorf("the URL %s", options["--url"])
	}
	data, err := os.ReadFile(state)
	if err != nil {
		return err
	}
	var registration object
	if err := json.Unmarshal(data, &registration); err != nil {
		return err
	}
	if registration["fail"] == options["--query"] && options["--query"] != "" {
		return fmt.Errorf("Graph is down")
	}
	if options["--method"] == "GET" {
		return show(registration, options["--query"], options["--output"])
	}
	body := []byte(options["--body"])
	if file, ok := strings.CutPrefix(options["--body"], "@"); ok {
		if body, err = os.ReadFile(file); err != nil {
			return err
		}
	}
	var change object
	if err := json.Unmarshal(body, &change); err != nil {
		return fmt.Errorf("the body %s: %w", body, err)
	}
	merge(registration, change)
	if data, err = json.MarshalIndent(registration, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(state, data, 0o600)
}

func merge(into, change object) {
	for name, value := range change {
		inner, isObject := value.(object)
		old, wasObject := into[name].(object)
		if isObject && wasObject {
			merge(old, inner)
		} else {
			into[name] = value
		}
	}
}

// show answers the queries of the script (JMESPath), each of which it must know.
func show(registration object, query, output string) error {
	at := func(names ...string) (value any) {
		value = registration
		for _, name := range names {
			inner, _ := value.(object)
			value = inner[name]
		}
		return value
	}
	or := func(value, otherwise any) any {
		if value == nil || value == false || reflect.DeepEqual(value, []any{}) {
			return otherwise
		}
		return value
	}
	var value any
	switch query {
	case "appId":
		value = at("appId")
	case "web.redirectUris || `[]`":
		value = or(at("web", "redirectUris"), []any{})
	case "web.implicitGrantSettings.enableAccessTokenIssuance || `false`":
		value = or(at("web", "implicitGrantSettings", "enableAccessTokenIssuance"), false)
	case "optionalClaims.idToken[?name != 'login_hint'] || `[]`":
		claims, _ := at("optionalClaims", "idToken").([]any)
		value = slices.DeleteFunc(claims, func(c any) bool { return c.(object)["name"] == "login_hint" })
		if claims == nil {
			value = []any{}
		}
	case "optionalClaims.accessToken || `[]`":
		value = or(at("optionalClaims", "accessToken"), []any{})
	case "optionalClaims.saml2Token || `[]`":
		value = or(at("optionalClaims", "saml2Token"), []any{})
	default:
		return fmt.Errorf("the query %s is not known here", query)
	}
	if output == "tsv" {
		if list, ok := value.([]any); ok {
			for _, line := range list {
				fmt.Print(line, "\r\n") // as on Windows
			}
			return nil
		}
		fmt.Println(value)
		return nil
	}
	data, err := json.MarshalIndent(value, "", "  ")
	fmt.Println(string(data))
	return err
}

// azure is a registration in Graph and the command az.
type azure struct{ folder string }

func newAzure(t *testing.T, registration object) azure {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := azure{t.TempDir()}
	if err := os.Symlink(program, filepath.Join(a.folder, "az")); err != nil {
		t.Skip("links cannot be made: ", err)
	}
	registration["appId"] = "99999999-9999-4999-8999-999999999999"
	data, err := json.Marshal(registration)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.state(), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a azure) state() string { return filepath.Join(a.folder, "state.json") }

func (a azure) register(args ...string) (string, error) {
	command := exec.Command("bash", append([]string{"register-api.sh"}, args...)...)
	command.Env = append(os.Environ(), fakeAzure+"="+a.state(), "PATH="+a.folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := command.CombinedOutput()
	return string(out), err
}

func (a azure) registration(t *testing.T) object {
	t.Helper()
	data, err := os.ReadFile(a.state())
	if err != nil {
		t.Fatal(err)
	}
	var registration object
	if err := json.Unmarshal(data, &registration); err != nil {
		t.Fatal(err)
	}
	return registration
}

// parts returns what --page is about.
func parts(registration object) string {
	data, err := json.Marshal(object{"web": registration["web"], "optionalClaims": registration["optionalClaims"]})
	if err != nil {
		panic(err)
	}
	return string(data)
}

const hint = `{"additionalProperties":[],"essential":false,"name":"login_hint","source":null}`

func TestRegisterPage(t *testing.T) {
	const links = `"https://links.contoso.com/api/manage/signed-in","https://links.contoso.com/api/manage/signed-out","https://links.contoso.com/api/manage/consented"`
	a := newAzure(t, object{})
	for range 2 { // a second run changes nothing
		out, err := a.register("--page", "https://links.contoso.com")
		if err != nil || !strings.Contains(out, "FHIRLINK_API_AUDIENCE=99999999-9999-4999-8999-999999999999\n") || !strings.HasSuffix(out, "\nFHIRLINK_PUBLIC_URL=https://links.contoso.com\nPages: https://links.contoso.com/api/manage/\n") {
			t.Fatalf("%s %v", out, err)
		}
		want := `{"optionalClaims":{"accessToken":[],"idToken":[` + hint + `],"saml2Token":[]},"web":{"implicitGrantSettings":{"enableAccessTokenIssuance":false,"enableIdTokenIssuance":true},"redirectUris":[` + links + `]}}`
		if got := parts(a.registration(t)); got != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
	}
	r := a.registration(t)
	if r["displayName"] != "fhirlink API" || r["signInAudience"] != "AzureADMultipleOrgs" || len(r["appRoles"].([]any)) != 4 {
		t.Errorf("%v", r)
	}
	if out, err := a.register("--page", "http://localhost:7071"); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	if got := parts(a.registration(t)); !strings.Contains(got, "["+links+`,"http://localhost:7071/api/manage/signed-in","http://localhost:7071/api/manage/signed-out","http://localhost:7071/api/manage/consented"]`) {
		t.Errorf("another page: %s", got)
	}
	before := parts(a.registration(t))
	if out, err := a.register(); err != nil || parts(a.registration(t)) != before || strings.Contains(out, "Pages") {
		t.Errorf("without --page: %s %v, %s", out, err, parts(a.registration(t)))
	}
}

// What somebody else has set stays.
func TestRegisterPageKeeps(t *testing.T) {
	ipaddr := object{"name": "ipaddr", "source": nil, "essential": true, "additionalProperties": []any{}}
	a := newAzure(t, object{
		"web": object{
			"homePageUrl": "https://contoso.com", "logoutUrl": "https://app.contoso.com/out", "implicitGrantSettings": object{"enableAccessTokenIssuance": true, "enableIdTokenIssuance": false},
			"redirectUris": []any{"https://app.contoso.com/cb", "https://links.contoso.com/api/manage/signed-out", "https://app.contoso.com/b?x=[1]&y"},
		},
		"optionalClaims": object{
			"idToken":     []any{ipaddr, object{"name": "login_hint", "source": nil, "essential": true, "additionalProperties": []any{}}, object{"name": "fhirUser", "source": "user", "essential": false, "additionalProperties": []any{"x]"}}},
			"accessToken": []any{ipaddr}, "saml2Token": []any{},
		},
		"spa": object{"redirectUris": []any{"https://spa.contoso.com"}},
	})
	if out, err := a.register("--page", "https://links.contoso.com", "fhirlink-api"); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	const ip = `{"additionalProperties":[],"essential":true,"name":"ipaddr","source":null}`
	want := `{"optionalClaims":{"accessToken":[` + ip + `],"idToken":[` + ip + `,{"additionalProperties":["x]"],"essential":false,"name":"fhirUser","source":"user"},` + hint + `],"saml2Token":[]},` +
		`"web":{"homePageUrl":"https://contoso.com","implicitGrantSettings":{"enableAccessTokenIssuance":true,"enableIdTokenIssuance":true},"logoutUrl":"https://app.contoso.com/out",` +
		`"redirectUris":["https://app.contoso.com/cb","https://app.contoso.com/b?x=[1]\u0026y","https://links.contoso.com/api/manage/signed-in","https://links.contoso.com/api/manage/signed-out","https://links.contoso.com/api/manage/consented"]}}`
	if got := parts(a.registration(t)); got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	if spa := a.registration(t)["spa"]; !reflect.DeepEqual(spa, object{"redirectUris": []any{"https://spa.contoso.com"}}) {
		t.Errorf("spa %v", spa)
	}
}

// When something cannot be read, nothing is written over.
func TestRegisterPageFails(t *testing.T) {
	for _, query := range []string{
		"web.redirectUris || `[]`", "web.implicitGrantSettings.enableAccessTokenIssuance || `false`", "optionalClaims.idToken[?name != 'login_hint'] || `[]`",
		"optionalClaims.accessToken || `[]`", "optionalClaims.saml2Token || `[]`",
	} {
		a := newAzure(t, object{"fail": query, "web": object{"redirectUris": []any{"https://app.contoso.com/cb"}}})
		before := parts(a.registration(t))
		if out, err := a.register("--page", "https://links.contoso.com"); err == nil || parts(a.registration(t)) != before {
			t.Errorf("%s: %s %v, %s", query, out, err, parts(a.registration(t)))
		}
	}
	a := newAzure(t, object{"web": object{"redirectUris": []any{`https://app.contoso.com/"`}}})
	if out, err := a.register("--page", "https://links.contoso.com"); err == nil || !strings.Contains(out, "cannot be kept") {
		t.Errorf("%s %v", out, err)
	}
}

func TestRegisterArguments(t *testing.T) {
	a := newAzure(t, object{})
	for _, args := range [][]string{
		{"--page"},
		{"--page", "https://links.contoso.com/"},
		{"--page", "https://links.contoso.com/api/manage/"},
		{"--page", "http://links.contoso.com"},
		{"--page", "links.contoso.com"},
		{"--page", "https://Links.contoso.com"},
		{"--page", `https://a"b`},
		{"--page", ""},
		{"a", "b"},
		{"--page", "https://links.contoso.com", "a", "b"},
		{"--pages"},
		{"a b"},
		{"fhirlink-api", "--page", "https://links.contoso.com"},
		{"--page", "https://links.contoso.com\nhttps://evil.example"},
	} {
		out, err := a.register(args...)
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || out == "" {
			t.Errorf("%q: %s %v", args, out, err)
		}
	}
	if r := a.registration(t); len(r) != 1 {
		t.Errorf("%v", r)
	}
}
