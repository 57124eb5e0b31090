package egress

import (
	"net/netip"
	"testing"
)

// TestExceptedNAT64: an exception for a translator's prefix opens the public addresses behind it,
// but not the private network that the embedded IPv4 addresses belong to.
func TestExceptedNAT64(t *testing.T) {
	allow := prefixes("64:ff9b::/96", "64:ff9b:1::/48", "10.9.0.0/16")
	for addr, open := range map[string]bool{
		"64:ff9b::102:304":       true,  // 1.2.3.4
		"64:ff9b::a09:1":         true,  // 10.9.0.1, excepted itself
		"64:ff9b::a00:1":         false, // 10.0.0.1
		"64:ff9b::7f00:1":        false, // 127.0.0.1
		"64:ff9b::a83f:8110":     false, // 168.63.129.16
		"64:ff9b:1::a9fe:a9fe":   false, // 169.254.169.254, if it is embedded there
		"64:ff9b:1::102:304":     false,
		"10.9.0.1":               true,
		"::ffff:169.254.169.254": false,
	} {
		if got := excepted(netip.MustParseAddr(addr), allow); got != open {
			t.Errorf("%s: open %v, want %v", addr, got, open)
		}
	}
}
