package seal

import (
	"fmt"
	"strings"
	"testing"

	"fhirlink/shared/secret"
)

func TestKeysDoNotPrint(t *testing.T) {
	k := key{secret: secret.New("canary-canary-canary-canary-cana")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, []any{k, &k, []key{k}}); strings.Contains(got, "canary") || strings.Contains(got, "63616e617279") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}
