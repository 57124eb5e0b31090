package entra_test

import (
	"strings"
	"testing"

	"fhirlink/shared/entra"
)

func TestIsGUID(t *testing.T) {
	for s, want := range map[string]bool{
		tenant: true, strings.ToUpper("abcdefab-cdef-4bcd-8fab-cdefabcdefab"): true,
		"": false, tenant[1:]: false, tenant + "1": false, "{" + tenant[:34] + "}": false,
		strings.ReplaceAll(tenant, "-", "1"): false, strings.Replace(tenant, "1", "-", 1): false,
		strings.Replace(tenant, "1", "g", 1): false, "common": false, tenant[:34] + "é": false,
	} {
		if got := entra.IsGUID(s); got != want {
			t.Errorf("IsGUID(%q) = %v", s, got)
		}
	}
}

func TestUnreachableDiagnosis(t *testing.T) {
	u := entra.NotUsable(503, []byte(" <html>"))
	d := u.Diagnose()
	if d.Message != "Microsoft Entra gave no usable answer: answered 503 with a web page." || d.Fix == "" {
		t.Errorf("got %+v", d)
	}
	if u.Error() != "the authority could not be reached: answered 503 with a web page" {
		t.Errorf("Error = %q", u)
	}
}
