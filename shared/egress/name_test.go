package egress_test

import (
	"strings"
	"testing"

	"fhirlink/shared/egress"
)

func TestLooksLikeAddress(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.1": true, "2130706433": true, "0x7f000001": true, "0x7f.1": true, "0177.0.0.1": true, "1.2.3.4.": true,
		"clinic.example.4": true, "clinic.example.0x": true, "::1": true, "fe80::1%eth0": true,
		"": false, "clinic.example": false, "4clinic": false, "0xclinic.example": false, "0xg": false, "1.2.3.4.example": false,
	} {
		if got := egress.LooksLikeAddress(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestIsName(t *testing.T) {
	label := strings.Repeat("a", 63)
	for host, want := range map[string]bool{
		"clinic.example": true, "localhost": true, "xn--bcher-kva.example": true, "0.example": true, label + ".example": true,
		"": false, ".": false, "a..b": false, "a.": false, "-a.example": false, "a-.example": false, "a_b.example": false, "A.example": false,
		"bücher.example": false, label + "a.example": false, strings.Repeat(label+".", 4): false, "a b": false,
	} {
		if got := egress.IsName(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
