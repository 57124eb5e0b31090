package main

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/config"
	"fhirlink/shared/httpx/scripttest"
	"fhirlink/shared/link"
)

// The scripts of functions/testdata/scripts, over the sandbox. functions/cmd/comparehosts runs
// the same scripts as on Azure and on Lambda.
func TestScripts(t *testing.T) {
	const frontEnd = "http://localhost:3000"
	i := start(t, t.TempDir(), map[string]string{config.CORSOrigins: frontEnd, config.MaxLinks: "20", config.PublicURL: "http://localhost:7071"})
	organization := func(id string) http.Header { return http.Header{organizationHeader: {id}} }
	vars := map[string]string{
		"tenant": sandbox.TenantID, "client": sandbox.ClientID, "front": frontEnd,
		"secret": sandbox.Secret, "next-secret": sandbox.Secret, "expired-secret": sandbox.ExpiredSecret,
		"app-client": sandbox.AppClientID, "app-secret": sandbox.AppSecret, "app-next-secret": sandbox.AppNextSecret,
		"other-app-client": sandbox.OtherAppClientID, "other-app-secret": sandbox.OtherAppSecret,
		"public": i.smart.PublicURL, "patient": "p-1",
	}
	entra, _, _ := strings.Cut(i.launch.Deps.Authorize(link.Link{FHIRServerURL: "https://clinic.fhir.sandbox.test", TenantID: sandbox.TenantID}), "/"+sandbox.TenantID)
	vars["entra"] = entra
	for _, scenario := range sandbox.Scenarios() {
		vars[scenario] = "https://" + scenario + ".fhir.sandbox.test"
		vars[scenario+".audience"] = vars[scenario]
	}
	vars["audience.audience"] = "https://api.fhir.sandbox.test"
	runner := scripttest.Runner{
		URL: i.URL, Vars: vars, Sites: map[string]scripttest.Site{vars["public"]: {URL: i.URL}, entra: {URL: entra}},
		Conditions: map[string]bool{"local": true, "this-machine": true, "sandbox": true, "slow": !testing.Short()},
		Mask:       scripttest.Mask{Headers: []string{"X-Correlation-Id"}, Keys: []string{"instance"}},
		Callers: map[string]http.Header{
			"smart": organization("99999999-5555-4111-8111-111111111111"), "ehr": organization("99999999-5555-4111-8111-111111111111"),
			"smart-many": organization("99999999-6666-4111-8111-111111111111"),
			"manager":    nil, "app": nil,
			"other": organization("77777777-7777-4777-8777-777777777777"), "other-app": organization("77777777-7777-4777-8777-777777777777"), "other-ehr": organization("77777777-7777-4777-8777-777777777777"),
			"many":   organization("99999999-9999-4999-8999-999999999999"),
			"lister": organization("88888888-8888-4888-8888-888888888888"), "lister-app": organization("88888888-8888-4888-8888-888888888888"),
		},
	}
	scripts, err := scripttest.ReadFiles(os.DirFS("../../testdata/scripts"), "*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		runner.Test(t, script)
	}
}
